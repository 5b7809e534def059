"""Jobs: their commands, what is kept, what is refused, and the order of stages."""

import json
import pathlib
import subprocess

import pytest

from experiments.tables import jobs
from experiments.tables.jobs import job_of, load_config, with_first_stages
from experiments.tables.rows import TABLES

BASELINE, TWO_STAGE, MASK_RCNN = TABLES[4][0], TABLES[2][0], TABLES[3][0]
LITE = {"scale": "lite", "data": "scenes"}


def test_a_job_is_two_commands():
    job = job_of(BASELINE, 3, **LITE, folder=pathlib.Path("runs"), flags=["--config.train.steps=7"])
    train, evaluate = job.commands()
    common = ["--config=configs/tables.py:baseline,lite,scenes", "--workdir=runs/baseline/seed3"]
    common += ["--config.seed=3", "--config.train.steps=7"]
    assert train[1:] == ["train.py", *common] and evaluate[1:] == ["eval.py", *common]
    config = load_config(job)
    assert (config.seed, config.train.steps, config.data.name) == (3, 7, "scenes")
    assert config.model.ranking.position == "none"


def test_the_second_stage_starts_from_the_first_of_its_seed():
    first, second = with_first_stages(job_of(TWO_STAGE, 1, **LITE, folder=pathlib.Path("runs")))
    assert first.config == "configs/tables.py:detection,lite,scenes"
    assert "--config.init_from=runs/detection/seed1" in second.commands()[0]
    assert not any("init_from" in word for word in first.commands()[0])
    assert load_config(first).loss.weights.rank == 0.0
    assert load_config(second).optim.trainable == ("ranking",)


def test_other_detectors_are_of_full_size():
    job = job_of(MASK_RCNN, 0, scale="full", data="assr", folder=pathlib.Path("runs"))
    assert job.config == "configs/mask_rcnn_r50.py"
    with pytest.raises(ValueError, match="Mask R-CNN-50 .* --scale full --data assr"):
        job_of(MASK_RCNN, 0, **LITE, folder=pathlib.Path("runs"))


@pytest.fixture
def commands(monkeypatch):
    """Commands that would have run; the evaluation leaves its numbers."""
    called = []

    def run(command):
        called.append(command[1])
        if command[1] == "eval.py":
            workdir = next(w for w in command if w.startswith("--workdir=")).split("=")[1]
            out = pathlib.Path(workdir) / "evaluation/test"
            out.mkdir(parents=True)
            (out / "metrics.json").write_text(json.dumps({"sor": 0.5}))
        return subprocess.CompletedProcess(command, run.status)

    run.status = 0
    monkeypatch.setattr(jobs.subprocess, "run", run)
    return run, called


def test_what_is_done_is_kept_and_other_flags_are_refused(tmp_path, commands):
    _, called = commands
    job = job_of(BASELINE, 0, **LITE, folder=tmp_path)
    assert job.metrics() is None
    assert job.run() == {"sor": 0.5} and called == ["train.py", "eval.py"]
    assert job.run() == {"sor": 0.5} and len(called) == 2
    other = job_of(BASELINE, 0, **LITE, folder=tmp_path, flags=["--config.train.steps=7"])
    with pytest.raises(ValueError, match="baseline/seed0 .*--workdir"):
        other.run()


def test_a_command_that_fails_ends_the_table_and_the_next_run_goes_on(tmp_path, commands):
    run, called = commands
    job = job_of(BASELINE, 0, **LITE, folder=tmp_path)
    run.status = 1
    with pytest.raises(RuntimeError, match="exit status 1 of .*train.py"):
        job.run()
    assert job.metrics() is None
    run.status = 0
    assert job.run() == {"sor": 0.5} and called == ["train.py", "train.py", "eval.py"]
