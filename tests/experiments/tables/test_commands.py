"""python -m experiments.tables as a user starts it, on models of a few steps."""

import json

import pytest

from tests.processes import output_of

SMALL = {
    "train.steps": 2,
    "train.batch_size": 2,
    "train.eval_every": 0,
    "data.num_scenes.train": 64,
    "data.num_scenes.val": 2,
    "data.num_scenes.test": 6,
    "model.pyramid.channels": 16,
    "model.fcos.channels": 32,
    "model.fcos.depth": 1,
    "model.mask.channels": 8,
    "model.iou.channels": 8,
    "model.ranking.channels": 8,
    "model.proposals.test.class_threshold": 0.001,
}


def reproduce(folder, *words):
    flags = [f"--workdir={folder}/runs", f"--out={folder}/results"]
    flags += [f"--config.{name}={value}" for name, value in SMALL.items()]
    flags += [f"--config.data.cache_dir={folder}/cache"]
    return output_of("-m", "experiments.tables", *words, *flags, timeout=1800, XLA_FLAGS="")


def test_a_dry_run_of_branches_says_what_would_be_done(tmp_path):
    said = reproduce(tmp_path, "--table=4", "--table=5", "--shared-detector", "--dry-run")
    assert "python train.py --config=configs/tables.py:detection,lite,scenes" in said
    assert "# 9 ranking branches: 20 steps of 32 images each" in said
    assert not (tmp_path / "runs").exists() and not (tmp_path / "results").exists()


def test_branches_on_a_detector_that_is_there_train_none(tmp_path):
    words = ("--table=5", "--shared-detector", "--detector=runs/mine", "--dry-run")
    said = reproduce(tmp_path, *words)
    assert "train.py" not in said and "# 6 ranking branches: 20 steps" in said


@pytest.mark.slow
def test_two_stages_are_one_command_that_keeps_what_is_done(tmp_path):
    reproduce(tmp_path, "--table=2")
    table = json.loads((tmp_path / "results/table2.json").read_text())
    assert [row["measured"]["seeds"] for row in table["rows"]] == [1, 1]
    for name in ("table2.md", "table2.png"):
        assert (tmp_path / "results" / name).is_file()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.json*")}
    reproduce(tmp_path, "--table=2")
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "runs").rglob("*.json*")}
    said = reproduce(tmp_path, "--table=4", "--dry-run")
    assert "ppa/seed0: done" in said and "# 2 steps of 2 images, 0.0" in said
    assert said.count("python train.py") == 3 and "h of training in all on one device" in said


@pytest.mark.slow
def test_branches_on_one_detector_are_one_command_that_goes_on(tmp_path):
    words = ("--table=4", "--shared-detector", "--epochs=1")
    reproduce(tmp_path, *words)
    branches = tmp_path / "runs/lite-scenes/branches"
    (branches / "ppa/seed0.json").unlink()
    kept = (branches / "baseline/seed0.json").stat().st_mtime_ns
    reproduce(tmp_path, *words)
    assert (branches / "ppa/seed0.json").is_file()
    assert (branches / "baseline/seed0.json").stat().st_mtime_ns == kept
    table = json.loads((tmp_path / "results/table4_shared.json").read_text())
    assert [row["measured"]["images"] for row in table["rows"]] == [6] * 4
