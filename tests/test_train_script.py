"""train.py itself, as a user starts it, on the built-in scenes."""

import json
import math
import os
import signal

import pytest

from sor_jax.metrics.scoreboard import Scoreboard
from tests import processes
from tests.processes import ended, finish, lines_until
from tests.small import write_config

SCENES = {"images": 3, "steps": 2, "batch_size": 2, "eval_every": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    write_config(folder / "small.py", **SCENES)
    return folder


def start(folder, *flags):
    return processes.start("train.py", f"--config={folder}/small.py", *flags, new_session=True)


def test_two_steps_an_evaluation_and_nothing_more_when_done(folder):
    workdir = folder / "run"
    code, output = finish(start(folder, f"--workdir={workdir}"))
    assert code == 0, output
    assert output.startswith("devices: 4 x cpu") or "\ndevices: 4 x cpu" in output
    assert "step 2/2 | loss total" in output and "all 2 steps are done" in output
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2, 2]
    for record in records[:2]:
        assert all(math.isfinite(value) for value in record.values())
        assert {
            "loss/total",
            "loss/rank",
            "rois/left_out",
            "learning_rate",
            "grad_norm",
        } <= record.keys()
    assert list(records[2]) == ["step", *(f"eval/{name}" for name in Scoreboard().result())]
    assert records[2]["eval/images"] == 3
    assert len(list((workdir / "examples/0000002").glob("*.png"))) == 3
    assert [path.name for path in (workdir / "checkpoints").iterdir()] == ["2"]

    code, output = finish(start(folder, f"--workdir={workdir}"))
    assert code == 0 and "all 2 steps are done" in output and "step 1/2" not in output


@pytest.mark.slow
def test_mask_rcnn_trains_and_is_scored(folder):
    write_config(folder / "rcnn.py", base="small_rcnn_config", **SCENES)
    workdir = folder / "rcnn"
    code, output = finish(start(folder, f"--config={folder}/rcnn.py", f"--workdir={workdir}"))
    assert code == 0, output
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [1, 2, 2]
    for record in records[:2]:
        assert all(math.isfinite(value) for value in record.values())
        assert {"loss/rpn_class", "loss/box", "loss/mask", "loss/rank"} <= record.keys()
    assert records[2]["eval/images"] == 3
    assert [path.name for path in (workdir / "checkpoints").iterdir()] == ["2"]


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_its_processes_saves_and_ends_well(folder, number):
    # A terminal and a cluster signal the whole group, the reader process included.
    workdir = folder / number.name
    process = start(folder, f"--workdir={workdir}", "--config.train.steps=100000")
    with ended(process):
        lines_until(process, "step 1/")
        os.killpg(process.pid, number)
        code, output = finish(process)
    assert code == 0, output
    (saved,) = (path.name for path in (workdir / "checkpoints").iterdir())
    assert output.count("Traceback") == 0, output
    assert f"step {saved} of 100000" in output
    assert f"{workdir}/checkpoints/{saved}" in output


def test_a_mistyped_field_suggests_the_right_one(folder):
    code, output = finish(start(folder, "--workdir=unused", "--config.optim.learning_rat=1"))
    assert code != 0
    assert 'Did you mean "learning_rate" instead of "learning_rat"' in output


def test_a_word_that_is_no_flag_is_refused(folder):
    code, output = finish(start(folder, "--workdir=unused", "train.steps=3"))
    assert code != 0
    assert "not a flag: train.steps=3" in output
