"""The input normalisation goes with the weights, whatever the config says."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from sor_jax.build import build_model, init_variables
from sor_jax.checkpoints.provenance import (
    Normalisation,
    Provenance,
    initial_config,
    normalisation_of,
    read_provenance,
    with_normalisation,
    write_provenance,
)
from sor_jax.checkpoints.weights import save_variables
from sor_jax.evaluation import checkpoint as evaluation
from sor_jax.train import loop, run
from tests.small import small_config

BGR = Normalisation("bgr", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0))
RGB = Normalisation("rgb", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CONVERTED = Provenance(BGR, family="a family", source="a.pth", sha256="0", licence="some")


@pytest.fixture
def weights(tmp_path):
    """Converted weights of the small model, all zero."""
    folder, config = tmp_path / "weights", small_config()
    model = build_model(config)
    shapes = jax.eval_shape(lambda: init_variables(model, jax.random.key(0)))
    save_variables(folder, jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes))
    write_provenance(folder, CONVERTED)
    return folder


def make_workdir(folder, config, step=3):
    """What a run leaves: its config and a checkpoint."""
    with run.claim(folder, config):
        (folder / f"checkpoints/{step}").mkdir(parents=True)
    return folder


def test_written_and_read(tmp_path):
    write_provenance(tmp_path, dataclasses.replace(CONVERTED, fresh=("params/a/b",)))
    got = read_provenance(tmp_path)
    assert got == dataclasses.replace(CONVERTED, fresh=("params/a/b",))
    assert [path.name for path in tmp_path.iterdir()] == ["weights.json"]


def test_nothing_is_said_where_there_is_nothing(tmp_path):
    assert read_provenance(tmp_path) is None
    assert read_provenance(tmp_path / "checkpoints" / "3") is None


def test_a_run_says_it_by_its_config(tmp_path):
    config = small_config()
    config.init_from = "somewhere"
    make_workdir(tmp_path, config)
    for source in (tmp_path, tmp_path / "checkpoints" / "3", str(tmp_path)):
        got = read_provenance(source)
        assert got.normalisation == normalisation_of(config)
        assert got.source == "somewhere"


@pytest.mark.parametrize("text", ["{", "{}", '{"normalisation": {"pixel_order": "rgb"}}', "[]"])
def test_damage_is_an_error(tmp_path, text):
    (tmp_path / "weights.json").write_text(text)
    with pytest.raises(ValueError, match="weights.json is damaged"):
        read_provenance(tmp_path)


def test_the_config_takes_it_and_a_line_says_so(capsys):
    config = small_config().lock()
    got = with_normalisation(config, CONVERTED)
    assert normalisation_of(got) == BGR
    assert got.is_locked and normalisation_of(config) != BGR
    assert capsys.readouterr().out == (
        "the weights expect bgr, mean (103.53, 116.28, 123.675), std (1, 1, 1): taken in place of "
        "the config's rgb, mean (128, 128, 128), std (64, 64, 64)\n"
    )
    assert with_normalisation(got, CONVERTED) is got
    assert with_normalisation(config, None) is config
    assert capsys.readouterr().out == ""


def test_a_run_takes_it_from_where_it_starts(tmp_path, weights):
    config = small_config()
    assert initial_config(config, tmp_path / "run") is config
    config.init_from = str(weights)
    assert normalisation_of(initial_config(config, tmp_path / "run")) == BGR


def test_a_run_that_goes_on_takes_its_own(tmp_path, weights):
    before = small_config()
    before.model.update(dataclasses.asdict(RGB))
    folder = make_workdir(tmp_path / "run", before)
    config = small_config()
    config.init_from = str(weights)
    assert normalisation_of(initial_config(config, folder)) == RGB


def test_a_run_that_broke_off_before_its_first_checkpoint_starts_again(tmp_path, weights):
    before = small_config()
    with run.claim(tmp_path / "run", before):
        pass
    before.init_from = str(weights)
    assert normalisation_of(initial_config(before, tmp_path / "run")) == BGR


def test_training_builds_its_model_by_it(tmp_path, weights, monkeypatch):
    config = small_config()
    config.init_from = str(weights)
    monkeypatch.setattr(loop, "build_experiment", normalisation_of)
    monkeypatch.setattr(loop, "fit", lambda built, config, *_, **__: (built, config))
    built, config = loop.train_and_evaluate(config, tmp_path / "run")
    assert built == normalisation_of(config) == BGR


def report(config, variables, **options):
    return config, variables, options


def test_evaluation_takes_it_and_needs_no_workdir(weights, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate_variables", report)
    config, variables, options = evaluation.evaluate_checkpoint(small_config(), weights)
    assert normalisation_of(config) == BGR
    assert options["out_dir"] == weights / "evaluation" / "test"
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(variables))


def test_a_start_for_training_is_not_evaluated(weights):
    write_provenance(weights, dataclasses.replace(CONVERTED, fresh=("params/ranking/rank/bias",)))
    with pytest.raises(ValueError, match="params/ranking/rank/bias"):
        evaluation.evaluate_checkpoint(small_config(), weights)


def test_results_in_the_folder_of_the_weights_do_not_disturb_them(weights, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate_variables", report)
    out = weights / "evaluation" / "test"
    out.mkdir(parents=True)
    (out / "metrics.json").write_text(json.dumps({}))
    assert evaluation.evaluate_checkpoint(small_config(), weights)
