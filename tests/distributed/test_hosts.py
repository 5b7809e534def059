"""Two processes on one machine: the numbers of one, and what happens when one of them ends."""

import contextlib
import json
import os
import signal
import socket
import time

import numpy as np
import pytest

from tests import processes
from tests.processes import ended, finish, lines_until
from tests.small import write_config
from tests.train.test_loop import numbers

MODULE = ["-m", "tests.distributed.host"]


def start(command, *, devices, **variables):
    """`python COMMAND` with so many simulated devices."""
    flags = f"--xla_force_host_platform_device_count={devices}"
    variables = {"XLA_FLAGS": flags, "JAX_CHECK_PROXY_ENVS": "false"} | variables
    return processes.start(*command, **variables)


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finish_all(runs):
    """`finish` of a whole model's processes, which a busy machine may take its time for."""
    with ended(*runs):
        return [finish(run, seconds=900) for run in runs]


def test_two_processes_get_the_numbers_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    address = f"127.0.0.1:{free_port()}"
    runs = [start([*MODULE, one], devices=2)]
    runs += [start([*MODULE, two, address, 2, index], devices=1) for index in range(2)]
    with ended(*runs):
        outputs = [finish(run) for run in runs]
    assert [code for code, _ in outputs] == [0, 0, 0], outputs
    assert "all 8 steps are done" in outputs[1][1] and "step 1/8" not in outputs[2][1]

    expected, found = numbers(one), numbers(two)
    assert [list(record) for record in found] == [list(record) for record in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in theirs.items():
            if value is not None:
                np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)
    scored = [record for record in found if "eval/images" in record]
    assert [record["eval/images"] for record in scored] == [5, 5]
    assert scored == [record for record in expected if "eval/images" in record]
    seen = [record for record in found if "learning_rate" in record][-1]
    assert seen["data/examples_seen"] + seen["data/records_skipped"] == 8 * 5
    skipped = f"{seen['data/records_skipped']} times a damaged record skipped"
    assert skipped in outputs[1][1] and skipped in outputs[0][1]
    assert len(list((two / "tensorboard").iterdir())) == 1
    assert (two / "best.json").read_text() == (one / "best.json").read_text()
    started = [json.loads(line) for line in (two / "environment.jsonl").open()]
    assert [start["processes"] for start in started] == [2]

    # One process goes on where two have stopped.
    code, output = finish(start([*MODULE, two], devices=2))
    assert code == 0 and "all 8 steps are done" in output, output
    assert "processes was 2, now 1" in output


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    return write_config(folder / "small.py", images=5, steps=4, batch_size=3, eval_every=2)


def script(config, workdir, *flags):
    return ["train.py", f"--config={config}", f"--workdir={workdir}", *flags]


def evaluation(config, workdir, out):
    flags = [f"--config={config}", f"--workdir={workdir}", f"--out={out}", "--split=test"]
    return ["eval.py", *flags, "--checkpoint=last"]


def named(command):
    """Two processes of a command that find each other by its flags."""
    flags = [f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2"]
    return [start([*command, *flags, f"--process_id={index}"], devices=1) for index in range(2)]


def together(config, workdir, *flags):
    return named(script(config, workdir, *flags))


@pytest.mark.slow
def test_the_whole_model_gets_the_same_numbers_on_two(config, tmp_path):
    code, output = finish(start(script(config, tmp_path / "one"), devices=2), seconds=900)
    assert code == 0, output
    outputs = finish_all(together(config, tmp_path / "two"))
    assert [code for code, _ in outputs] == [0, 0], outputs
    expected, found = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    assert [list(record) for record in found] == [list(record) for record in expected]
    apart = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in theirs.items():
            if value is not None:
                np.testing.assert_allclose(ours[name], value, rtol=1e-4, err_msg=name)
                apart = max(apart, abs(ours[name] - value))
    print(f"\ntwo processes and one: numbers apart by up to {apart:.1e}")
    check_evaluations_agree(config, tmp_path)


def check_evaluations_agree(config, folder):
    """Five photographs by two processes, in batches of two: each is scored once."""
    alone = evaluation(config, folder / "two", folder / "alone")
    code, output = finish(start(alone, devices=2), seconds=900)
    assert code == 0, output
    outputs = finish_all(named(evaluation(config, folder / "two", folder / "shared")))
    assert [code for code, _ in outputs] == [0, 0], outputs
    assert "images_used" not in outputs[1][1]  # one of them talks
    expected, found = (
        json.loads((folder / name / "metrics.json").read_text()) for name in ("alone", "shared")
    )
    assert found.keys() == expected.keys() and found["images"] == 5
    for name, value in expected.items():
        if isinstance(value, int | float):
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
        elif value is not None:  # what was evaluated, in words
            assert found[name] == value, name
    maps = [
        sorted(p.name for p in (folder / n / "rank_maps").rglob("*.png"))
        for n in ("alone", "shared")
    ]
    assert maps[0] == maps[1] and len(maps[0]) == 5


@contextlib.contextmanager
def endless(config, workdir):
    """Two processes that train until somebody ends them, seen at work."""
    flags = ["--config.train.steps=100000", "--config.train.eval_every=0"]
    runs = together(config, workdir, *flags)
    with ended(*runs):
        lines_until(runs[0], "step 5/")
        yield runs


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_or_frozen_the_other_ends_within_a_minute(
    config, tmp_path, victim, number
):
    with endless(config, tmp_path) as runs:
        since = time.monotonic()
        os.kill(runs[victim].pid, number)
        code, output = finish(runs[1 - victim], seconds=60)
    print(
        f"\nprocess {victim} got {number.name}: the other ended in {time.monotonic() - since:.0f} s"
    )
    assert code != 0
    assert "Error" in output or "error" in output


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_saves_and_ends_both(config, tmp_path, asked):
    with endless(config, tmp_path) as runs:
        os.kill(runs[asked].pid, signal.SIGTERM)
        outputs = [finish(run) for run in runs]
    assert [code for code, _ in outputs] == [0, 0], outputs
    (saved,) = (path.name for path in (tmp_path / "checkpoints").iterdir())
    assert f"step {saved} of 100000" in outputs[0][1]
