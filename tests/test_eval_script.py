"""eval.py on a checkpoint of a tiny, untrained model and three made-up photographs."""

import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

from configs import base
from sor_jax.build import build_model, init_variables
from sor_jax.checkpoints.weights import save_variables
from sor_jax.evaluation.checkpoint import evaluate_checkpoint

REPOSITORY = pathlib.Path(__file__).parents[1]
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
    shapes = jax.eval_shape(lambda key: init_variables(model, config, key), jax.random.key(0))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(0, 0.05, leaf.shape).astype("f"), shapes)
    save_variables(folder / "run/checkpoints/3", variables)
    return config, folder / "run"


def test_evaluate_checkpoint_writes_everything(trained, capsys):
    config, workdir = trained
    metrics = evaluate_checkpoint(config, workdir, gallery=2)
    out = workdir / "evaluation/test"
    assert metrics == json.loads((out / "metrics.json").read_text())
    assert (metrics["images"], metrics["objects"]) == (3, 4)
    for i, hw in enumerate(SIZES):
        assert Image.open(out / f"rank_maps/p{i}.png").size == hw[::-1]
    assert {p.name for p in (out / "gallery").iterdir()} == {"p0.png", "p1.png"}
    printed = capsys.readouterr()
    assert "SOR" in printed.out
    assert str(out) in printed.out
    assert "images/s" not in printed.err  # the bar is for terminals


def test_config_limits_the_images(trained, tmp_path):
    config, workdir = trained
    config = config.copy_and_resolve_references()
    config.eval.max_images = 1
    assert evaluate_checkpoint(config, workdir, out_dir=tmp_path)["images"] == 1


def test_one_checkpoint_needs_an_out_dir(trained, tmp_path):
    config, workdir = trained
    with pytest.raises(ValueError, match="--out"):
        evaluate_checkpoint(config, workdir / "checkpoints/3")
    assert evaluate_checkpoint(config, workdir / "checkpoints/3", out_dir=tmp_path)["images"] == 3


def test_the_script_says_what_is_missing(tmp_path):
    command = [sys.executable, "eval.py", "--config", "configs/base.py", "--workdir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"looked for {tmp_path}/checkpoints" in done.stderr


def test_the_script_passes_its_flags_on():
    """The flags of eval.py, without a second start of jax."""
    program = """
import sys, sor_jax.evaluation.checkpoint as evaluation
def report(config, workdir, **options):
    print(config.eval.max_images, workdir, sorted(options.items()))
evaluation.evaluate_checkpoint = report
import runpy
runpy.run_path("eval.py", run_name="__main__")
"""
    arguments = ["--config", "configs/base.py", "--workdir", "W", "--split", "val", "--out", "O"]
    arguments += ["--config.eval.max_images=7", "--checkpoint", "last", "--gallery=3"]
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = [("gallery", 3), ("out_dir", "O"), ("prefer", "last"), ("split", "val")]
    assert done.stdout.strip() == f"7 W {expected}"


@pytest.mark.parametrize(
    "given, expected",
    [
        (["--weights", "D"], "D"),
        (["--weights", "D", "--workdir", "W"], "Exactly one of (workdir, weights, maps)"),
        ([], "Exactly one of (workdir, weights, maps)"),
    ],
)
def test_the_script_takes_weights_in_place_of_a_workdir(given, expected):
    program = """
import runpy, sor_jax.evaluation.checkpoint as evaluation
evaluation.evaluate_checkpoint = lambda config, source, **_: print(source)
runpy.run_path("eval.py", run_name="__main__")
"""
    command = [sys.executable, "-c", program, "--config", "configs/base.py", *given]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) == (given == ["--weights", "D"])
    assert expected in done.stdout + done.stderr
