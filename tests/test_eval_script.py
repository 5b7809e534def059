"""eval.py on a checkpoint of a tiny, untrained model and three made-up photographs."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from configs import base
from sor_jax.build import build_model, init_variables
from sor_jax.checkpoints.model import trained_variables
from sor_jax.checkpoints.weights import save_variables
from sor_jax.evaluation.checkpoint import evaluate_checkpoint, evaluate_variables
from tests.processes import ROOT, error_of, output_of

OBJECTS = ((1.0, (4, 4, 20, 24)), (0.9, (22, 8, 38, 40)))
SIZES = ((48, 64), (64, 40), (96, 128))


def write_photographs(root):
    """An ASSR folder whose test split has two photographs with objects and one without."""
    for folder in ("images", "gt", "rank_order"):
        (root / folder / "test").mkdir(parents=True)
    annotations = []
    for i, (h, w) in enumerate(SIZES):
        name, grey = f"p{i}", np.zeros((h, w), np.uint8)
        pixels = np.random.default_rng(i).integers(0, 256, (h, w, 3), np.uint8)
        entries, ranks = [], []
        for value, (x0, y0, x1, y1) in OBJECTS if i < 2 else ():
            grey[y0:y1, x0:x1] = int(255 * value)
            corners = [x0, y0, x1, y0, x1, y1, x0, y1]
            entries.append({"bbox": [x0, y0, x1, y1], "segmentation": [corners]})
            ranks.append(value)
        Image.fromarray(pixels).save(root / f"images/test/{name}.jpg")
        Image.fromarray(grey).save(root / f"gt/test/{name}.png")
        (root / f"rank_order/test/{name}.json").write_text(json.dumps({"rank_order": ranks}))
        annotations.append({"img": name, "object_data": entries})
    (root / "obj_seg_data_test.json").write_text(json.dumps(annotations))
    (root / "test_images.txt").write_text("p0\np1\np2\n")


def tiny_config(root, cache):
    """The smallest model: every head is there, nothing is wide."""
    config = base.get_config()
    with config.unlocked():
        config.data.update({"name": "assr", "root": str(root), "cache_dir": str(cache)})
        config.data.canvas_hw = (64, 64)
        config.eval.batch_size = 2
        model = config.model
        model.update({"backbone": "vovnet19_slim", "norm": "group"})
        model.pyramid.channels = 32
        model.fcos.update({"channels": 32, "depth": 1})
        model.mask.update({"channels": 16, "depth": 1})
        model.iou.update({"channels": 16, "depth": 2, "hidden": 16})
        model.ranking.update({"channels": 16, "depth": 2, "hidden": (16, 16), "layers": 1})
        model.ranking.update({"heads": 2, "ffn": 16})
        model.proposals.test.update({"class_threshold": 0.01, "max_detections": 6})
    return config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eval")
    write_photographs(folder / "data")
    config = tiny_config(folder / "data", folder / "cache")
    model = build_model(config)
    shapes = jax.eval_shape(lambda key: init_variables(model, key), jax.random.key(0))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype("f"), shapes)
    save_variables(folder / "run/checkpoints/3", variables)
    return config, folder / "run"


def test_evaluate_checkpoint_writes_everything(trained, capsys):
    config, workdir = trained
    metrics = evaluate_checkpoint(config, workdir, gallery=2)
    out = workdir / "evaluation/test"
    saved = json.loads((out / "metrics.json").read_text())
    assert metrics == {name: saved[name] for name in metrics}
    assert (saved["records_left_out"], saved["left_out"]) == (0, [])
    assert saved["config_differences"] == {}
    assert saved["checkpoint"] == str(workdir / "checkpoints/3")
    assert (metrics["images"], metrics["objects"]) == (3, 4)
    for i, hw in enumerate(SIZES):
        assert Image.open(out / f"rank_maps/p{i}.png").size == hw[::-1]
    assert {p.name for p in (out / "gallery").iterdir()} == {"p0.png", "p1.png"}
    printed = capsys.readouterr()
    assert "SOR" in printed.out
    assert str(out) in printed.out
    assert "images/s" not in printed.err  # the bar is for terminals


def test_config_limits_the_images_and_that_is_told(trained, tmp_path, capsys):
    config, workdir = trained
    config = config.copy_and_resolve_references()
    config.eval.max_images = 1
    assert evaluate_checkpoint(config, workdir, out_dir=tmp_path)["images"] == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["images_in_split"] == 3
    assert "1 of 3 images" in (told := capsys.readouterr().out) and "max_images=0" in told


def test_one_checkpoint_needs_an_out_dir(trained, tmp_path):
    config, workdir = trained
    with pytest.raises(ValueError, match="--out"):
        evaluate_checkpoint(config, workdir / "checkpoints/3")
    assert evaluate_checkpoint(config, workdir / "checkpoints/3", out_dir=tmp_path)["images"] == 3


def test_what_differs_from_the_run_is_told_and_kept(trained, tmp_path, capsys):
    config, workdir = trained
    run = tmp_path / "run"
    shutil.copytree(workdir / "checkpoints", run / "checkpoints")
    (run / "config.json").write_text(config.to_json_best_effort())
    other = config.copy_and_resolve_references()
    other.model.rank_rule = "expected"
    evaluate_checkpoint(other, run)
    saved = json.loads((run / "evaluation/test/metrics.json").read_text())
    assert saved["config_differences"] == {"model.rank_rule": ["sequential", "expected"]}
    assert "config.model.rank_rule" in capsys.readouterr().out


def test_records_that_are_left_out_are_counted_with_their_reasons(trained, tmp_path):
    config, workdir = trained
    shutil.copytree(config.data.root, tmp_path / "data")
    (tmp_path / "data/gt/test/p1.png").write_bytes(b"no image")
    config = config.copy_and_resolve_references()
    config.data.update(root=str(tmp_path / "data"), cache_dir=str(tmp_path), on_error="skip")
    metrics = evaluate_checkpoint(config, workdir, out_dir=tmp_path / "out")
    saved = json.loads((tmp_path / "out/metrics.json").read_text())
    assert (metrics["images"], saved["records_left_out"]) == (2, 1)
    assert "p1" in saved["left_out"][0]


@pytest.mark.parametrize("part", ["fcos", "ranking"])
def test_an_evaluation_that_is_not_finite_stops(trained, tmp_path, part):
    config, workdir = trained
    variables = trained_variables(config, workdir)
    broken = jax.tree.map(lambda x: np.full_like(x, np.nan), variables["params"][part])
    variables = {**variables, "params": {**variables["params"], part: broken}}
    with pytest.raises(FloatingPointError, match="p0.*not finite"):
        evaluate_variables(config, variables, split="test", out_dir=tmp_path)
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--workdir=W"], "/W"),
        (["--workdir=W", "--config=configs/base.py"], "W/checkpoints"),
        (["--weights=D", "--workdir=W"], "workdir, weights, maps"),
        (["--maps=M", "--config.data.name=assr"], "data.root"),
    ],
)
def test_the_script_says_what_is_wrong_in_one_message(tmp_path, words, expected):
    assert expected in error_of(ROOT / "eval.py", *words, cwd=tmp_path)


def test_the_script_passes_its_flags_on(trained, tmp_path):
    """From another folder, with the run's own config."""
    config, _ = trained
    changed = config.copy_and_resolve_references()
    changed.model.rank_rule = "expected"
    (tmp_path / "W").mkdir()
    (tmp_path / "W/config.json").write_text(changed.to_json_best_effort())
    program = f"""
import runpy, sor_jax.evaluation.checkpoint as evaluation
def report(config, workdir, **options):
    print(config.model.rank_rule, config.eval.max_images, workdir, sorted(options.items()))
evaluation.evaluate_checkpoint = report
runpy.run_path("{ROOT}/eval.py", run_name="__main__")
"""
    words = ["--weights=W", "--split=val", "--out=O", "--checkpoint=last", "--gallery=3"]
    words.append("--predictions")
    said = output_of("-c", program, *words, "--config.eval.max_images=7", cwd=tmp_path)
    options = [("gallery", 3), ("out_dir", "O"), ("predictions", True), ("prefer", "last")]
    options.append(("split", "val"))
    assert said.strip() == f"expected 7 W {options}"


def test_a_shipped_model_is_scored_by_its_name(tmp_path):
    """With the config that lies beside its weights."""
    folder = tmp_path / "pretrained/toy"
    folder.mkdir(parents=True)
    config = base.get_config()
    config.model.rank_rule = "expected"
    (folder / "config.json").write_text(config.to_json_best_effort())
    (folder / "card.json").write_text("{}")
    program = f"""
import pathlib, runpy, sor_jax.evaluation.checkpoint as evaluation
from sor_jax import pretrained
pretrained.HERE = pathlib.Path("{folder.parent}")
def report(config, workdir, **options):
    print(config.model.rank_rule, workdir, options["out_dir"])
evaluation.evaluate_checkpoint = report
runpy.run_path("{ROOT}/eval.py", run_name="__main__")
"""
    said = output_of("-c", program, "--weights=toy", cwd=tmp_path)
    assert said.strip() == f"expected {folder} results/toy/test"
