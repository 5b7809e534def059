"""Two processes on one machine: the numbers of one, and what happens when one of them ends."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from sor_jax.distributed import cluster
from tests.small import write_config
from tests.train.test_loop import numbers

REPOSITORY = pathlib.Path(__file__).parents[2]
MODULE = [sys.executable, "-m", "tests.distributed.host"]


def start(command, *, devices, **variables):
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_CHECK_PROXY_ENVS": "false",
        **variables,
    }
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def finish(process, *, seconds=240):
    output, _ = process.communicate(timeout=seconds)
    return process.returncode, output


def test_two_processes_get_the_numbers_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    address = f"127.0.0.1:{free_port()}"
    runs = [start([*MODULE, one], devices=2)]
    runs += [start([*MODULE, two, address, 2, index], devices=1) for index in range(2)]
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
    return [sys.executable, "train.py", f"--config={config}", f"--workdir={workdir}", *flags]


def evaluation(config, workdir, out):
    flags = [f"--config={config}", f"--workdir={workdir}", f"--out={out}", "--split=test"]
    return [sys.executable, "eval.py", *flags, "--checkpoint=last"]


def named(command):
    """Two processes of a command that find each other by its flags."""
    flags = [f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2"]
    return [start([*command, *flags, f"--process_id={index}"], devices=1) for index in range(2)]


def together(config, workdir, *flags):
    return named(script(config, workdir, *flags))


@pytest.mark.slow
def test_the_whole_model_gets_the_same_numbers_on_two(config, tmp_path):
    code, output = finish(start(script(config, tmp_path / "one"), devices=2))
    assert code == 0, output
    outputs = [finish(run) for run in together(config, tmp_path / "two")]
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
    code, output = finish(start(alone, devices=2))
    assert code == 0, output
    runs = named(evaluation(config, folder / "two", folder / "shared"))
    outputs = [finish(run) for run in runs]
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


def endless(config, workdir):
    """Two processes that train until somebody ends them, seen at work."""
    flags = ["--config.train.steps=100000", "--config.train.eval_every=0"]
    runs = together(config, workdir, *flags)
    for line in runs[0].stdout:
        if line.startswith("step 5/"):
            return runs
    raise AssertionError("it never came to step 5")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_or_frozen_the_other_ends_within_a_minute(
    config, tmp_path, victim, number
):
    runs = endless(config, tmp_path)
    since = time.monotonic()
    os.kill(runs[victim].pid, number)
    code, output = finish(runs[1 - victim], seconds=60)
    print(
        f"\nprocess {victim} got {number.name}: the other ended in {time.monotonic() - since:.0f} s"
    )
    assert code != 0
    assert "Error" in output or "error" in output
    runs[victim].kill()
    runs[victim].communicate()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_to_one_saves_and_ends_both(config, tmp_path, asked):
    runs = endless(config, tmp_path)
    os.kill(runs[asked].pid, signal.SIGTERM)
    outputs = [finish(run) for run in runs]
    assert [code for code, _ in outputs] == [0, 0], outputs
    (saved,) = (path.name for path in (tmp_path / "checkpoints").iterdir())
    assert f"step {saved} of 100000" in outputs[0][1]


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, False),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "3"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_clusters_are_recognised(monkeypatch, environment, expected):
    for name in ("SLURM_NTASKS", "SLURM_PROCID", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cluster.is_cluster() == expected


def by_variables(index):
    return {"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(index)}


def by_slurm(index):
    # jax makes the port of the job's number, between 61440 and 65535.
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost"}
    return job | {"SLURM_NTASKS": "2", "SLURM_PROCID": str(index), "SLURM_LOCALID": "0"}


_JOINS = """
from sor_jax.distributed import cluster
joined = cluster.join()
import jax
print("joined", joined, jax.process_index(), jax.process_count(), jax.device_count())
"""


@pytest.mark.parametrize("environment", [by_variables, by_slurm])
def test_processes_find_each_other_by_their_environment(environment):
    address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}"}
    shared = address if environment is by_variables else {}
    command = [sys.executable, "-c", _JOINS]
    runs = [start(command, devices=1, **shared, **environment(index)) for index in range(2)]
    outputs = [finish(run, seconds=100) for run in runs]
    for index, (code, output) in enumerate(outputs):
        assert code == 0 and f"joined True {index} 2 2" in output, output


@pytest.mark.parametrize("chips, has_libtpu", [(True, True), (True, False), (False, True)])
def test_a_tpu_host_is_recognised_by_its_chips_and_its_library(monkeypatch, chips, has_libtpu):
    for name in ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cluster.glob, "glob", lambda pattern: ["/dev/accel0"] * chips)
    found = object() if has_libtpu else None
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: found)
    assert cluster.is_cluster() == (chips and has_libtpu)


def test_half_of_the_flags_is_an_error(monkeypatch):
    with pytest.raises(ValueError, match="JAX_NUM_PROCESSES, JAX_PROCESS_ID .*--coordin"):
        cluster.join("10.0.0.1:99")
    monkeypatch.setenv("JAX_PROCESS_ID", "1")
    with pytest.raises(ValueError, match="JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES"):
        cluster.join()
