"""kill -9 at any moment: the same command ends with the same bits."""

import json
import random

import jax
import numpy as np
import pytest

from tests.train import kills
from tests.train.test_loop import numbers


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight")
    process = kills.start(workdir)
    process.join()
    assert process.exitcode == 0
    return workdir


def finish_and_compare(workdir, straight):
    process = kills.start(workdir)
    process.join()
    assert process.exitcode == 0
    assert numbers(workdir) == numbers(straight)
    steps = [record["step"] for record in numbers(workdir) if "learning_rate" in record]
    assert steps == list(range(3, kills.STEPS + 1, 3))
    jax.tree.map(np.testing.assert_array_equal, kills.arrays(workdir), kills.arrays(straight))
    for name in ("best.json", "config.json"):
        assert (workdir / name).read_text() == (straight / name).read_text()


def test_killed_in_a_step_while_saving_and_behind_a_save(tmp_path, straight):
    process = kills.start(tmp_path)
    assert kills.wait_until(lambda: kills.lines(tmp_path) >= 2, process.is_alive)
    kills.kill(process)

    process = kills.start(tmp_path)
    kills.wait_until(lambda: kills.half_written(tmp_path), process.is_alive)
    kills.kill(process)
    assert kills.half_written(tmp_path), "killed too late"

    before = len(list((tmp_path / "checkpoints").glob("*/files.json")))
    process = kills.start(tmp_path)
    kills.wait_until(
        lambda: len(list((tmp_path / "checkpoints").glob("*/files.json"))) != before,
        process.is_alive,
    )
    kills.kill(process)
    assert kills.lines(tmp_path) < kills.lines(straight), "killed too late"
    finish_and_compare(tmp_path, straight)


@pytest.mark.slow
def test_killed_twenty_times_at_random(tmp_path, straight):
    rng = random.Random(0)
    count = 0
    while count < 20:
        process = kills.start(tmp_path)
        process.join(rng.uniform(0.5, 5))
        if process.is_alive():
            kills.kill(process)
            count += 1
        else:  # it got to its end: begin anew
            assert process.exitcode == 0
            finish_and_compare(tmp_path, straight)
            tmp_path = tmp_path / "next"
    finish_and_compare(tmp_path, straight)
    assert json.loads((tmp_path / "best.json").read_text())["metric"] == "mae"
