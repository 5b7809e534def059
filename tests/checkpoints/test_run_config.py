"""A trained model is used with the config that it keeps, less what the command line sets."""

import json
import logging

import pytest
from absl import flags
from ml_collections import config_flags

from configs import base
from sor_jax.checkpoints.run_config import config_file, differences, run_config
from sor_jax.config import flatten

CHANGED = {
    "data.canvas_hw": (64, 96),
    "model.rank_rule": "expected",
    "model.proposals.test.nms_threshold": 0.35,
    "model.ranking.heads": 2,
    "model.ranking.activation": "relu",
    "loss.weights.rank": 2.0,
    "train.dtype": "bfloat16",
    "eval.max_images": 3,
}


@pytest.fixture
def run(tmp_path):
    """A workdir whose run was changed by flags."""
    config = base.get_config()
    config.update_from_flattened_dict(CHANGED)
    (tmp_path / "run/checkpoints/7").mkdir(parents=True)
    (tmp_path / "run/config.json").write_text(config.to_json_best_effort())
    return tmp_path / "run"


def flag(*words):
    """The flag --config after a command line; its file is base.py unless a word says otherwise."""
    values = flags.FlagValues()
    argv = ["program", *words]
    config_flags.DEFINE_config_file("config", "configs/base.py", flag_values=values, sys_argv=argv)
    values(argv)
    return values["config"]


@pytest.mark.parametrize("words", [[], ["--config=configs/base.py"], ["--config=configs/lite.py"]])
@pytest.mark.parametrize("source", ["", "checkpoints/7"])
def test_a_run_keeps_its_own_config_whatever_file_is_named(run, words, source):
    config = run_config(flag(*words), run / source)
    fields = flatten(config.to_dict())
    assert {name: fields[name] for name in CHANGED} == CHANGED
    assert differences(config, run / source) == {}


def test_the_command_line_overrides_and_the_differences_are_known(run):
    words = ("--config.model.rank_rule=sequential", "--config.eval.max_images=5")
    config = run_config(flag(*words, "--config.data.canvas_hw=(32, 64)"), run)
    assert (config.model.rank_rule, config.eval.max_images) == ("sequential", 5)
    assert config.model.ranking.heads == 2
    assert differences(config, run) == {
        "data.canvas_hw": ((64, 96), (32, 64)),
        "model.rank_rule": ("expected", "sequential"),
    }


def test_a_value_of_another_type_is_named_with_its_file(run):
    saved = json.loads((run / "config.json").read_text())
    saved["eval"]["batch_size"] = "two"
    (run / "config.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=r"run/config\.json.*batch_size.*two"):
        run_config(flag(), run)


def test_a_file_that_is_not_used_says_what_it_had_said_otherwise(run, caplog):
    with caplog.at_level(logging.WARNING, logger="absl"):
        run_config(flag(), run)
        assert not caplog.text
        run_config(flag("--config=configs/base.py"), run)
    assert "rank_rule" in caplog.text and "expected" in caplog.text


def test_a_model_without_config_needs_one(tmp_path):
    with pytest.raises(ValueError, match="--config"):
        run_config(flag(), tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        run_config(flag(), tmp_path / "nowhere")
    given = run_config(flag("--config=configs/base.py", "--config.seed=3"), tmp_path)
    assert given.seed == 3
    assert config_file(tmp_path) is None and differences(given, tmp_path) == {}


def test_what_an_earlier_version_saved_is_read(run):
    saved = json.loads((run / "config.json").read_text())
    saved["data"]["image_hw"] = saved["data"].pop("canvas_hw")
    del saved["reference"]
    saved["model"]["clip_boxes"] = False
    (run / "config.json").write_text(json.dumps(saved))
    config = run_config(flag(), run)
    assert config.data.canvas_hw == (64, 96)
    assert config.reference.unclipped_boxes
    assert differences(config, run) == {}
