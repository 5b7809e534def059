"""Signals, terminals that are closed, lines that nobody reads: a run saves, or goes on."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from sor_jax.train.run import SIGNALS
from tests.processes import ended, python
from tests.train import kills, toy
from tests.train.test_loop import assert_same_bits, numbers, records, run

pytestmark = pytest.mark.usefixtures("hangups")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(tmp_path, capsys, number):
    before = [signal.getsignal(n) for n in SIGNALS]

    def send(index):
        if index == 3:
            os.kill(os.getpid(), number)

    straight = run(tmp_path / "straight")
    capsys.readouterr()
    stopped = run(tmp_path / "stopped", train_batches=toy.Batches(send))
    assert int(stopped.step) == 4
    said = capsys.readouterr().out
    assert f"stopped after step 4 of 6, saved in {tmp_path}/stopped/checkpoints/4" in said
    assert "the same command goes on" in said
    assert not any("eval/mae" in record for record in records(tmp_path / "stopped"))
    assert [signal.getsignal(n) for n in SIGNALS] == before

    resumed = run(tmp_path / "stopped")
    assert "going on from step 4" in capsys.readouterr().out
    assert_same_bits(resumed, straight)
    assert numbers(tmp_path / "stopped") == numbers(tmp_path / "straight")


_SENDS = """
import os, signal, sys
from tests.train import toy
from tests.train.test_loop import run

def send(index):
    if index == 1:
        for name in sys.argv[2:]:
            os.kill(os.getpid(), getattr(signal, name))

run(sys.argv[1], train_batches=toy.Batches(send))
"""


def sent(workdir, *names, **options):
    return python("-c", _SENDS, workdir, *names, **options)


@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
def test_a_second_signal_ends_the_process_at_once(tmp_path, second):
    done = sent(tmp_path, "SIGINT", second)
    assert done.returncode == -getattr(signal, second), done.stderr
    assert "SIGINT" in done.stdout
    assert "stopped after" not in done.stdout


def test_a_closed_terminal_may_say_so_twice(tmp_path):
    done = sent(tmp_path, "SIGHUP", "SIGHUP")
    assert done.returncode == 0, done.stderr
    assert "SIGHUP" in done.stdout and "stopped after step 2 of 6, saved" in done.stdout


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path):
    done = sent(tmp_path, "SIGHUP", before=["nohup"])
    assert done.returncode == 0, done.stderr
    assert "all 6 steps are done" in done.stdout


_ON_A_TERMINAL = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
"""
_SLOW = """
import sys, time
from tests.train import toy
from tests.train.test_loop import run

batches = toy.Batches(lambda index: time.sleep(0.05))
run(sys.argv[1], toy.config(steps=100000, checkpoint_every=0), train_batches=batches)
"""


def wait_for_lines(workdir, count, process):
    assert kills.wait_until(lambda: kills.lines(workdir) >= count, lambda: process.poll() is None)


def test_a_run_whose_terminal_is_closed_saves(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _ON_A_TERMINAL + _SLOW, str(tmp_path)]
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    with ended(process):
        wait_for_lines(tmp_path, 3, process)
        os.close(ours)  # the system sends SIGHUP, and whatever is printed fails
        assert process.wait(timeout=60) == 0
    (saved,) = os.listdir(tmp_path / "checkpoints")
    assert int(saved) == records(tmp_path)[-1]["step"] < 100000


def test_a_run_whose_lines_nobody_reads_goes_on(tmp_path):
    command = [sys.executable, "-c", _SLOW, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with ended(process):
        process.stdout.readline()
        process.stdout.close()
        wait_for_lines(tmp_path, 10, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "Error" not in errors
    (saved,) = os.listdir(tmp_path / "checkpoints")
    assert int(saved) == records(tmp_path)[-1]["step"] >= 10


def test_a_signal_breaks_an_evaluation_off_and_it_is_made_up_for(tmp_path):
    asked = []

    def send():
        asked.append(1)
        if len(asked) == 2:  # after the first batch of the first evaluation
            os.kill(os.getpid(), signal.SIGTERM)

    config = toy.config(eval_every=2, checkpoint_every=0)
    state = run(tmp_path, config, eval_batches=lambda size: toy.eval_batches(size, send, images=12))
    assert int(state.step) == 2
    assert [r for r in records(tmp_path) if "eval/mae" in r] == []
    assert os.listdir(tmp_path / "checkpoints") == ["2"]
    run(tmp_path, config)
    assert [r["step"] for r in records(tmp_path) if "eval/mae" in r] == [2, 4, 6]


def test_a_signal_before_the_first_step_ends_the_run_with_nothing_to_save(tmp_path, capsys):
    def init(rng):
        os.kill(os.getpid(), signal.SIGTERM)
        return toy.init(rng)

    assert int(run(tmp_path, init=init).step) == 0
    said = capsys.readouterr().out
    assert "stopped after step 0 of 6, nothing to save yet" in said
    assert int(run(tmp_path).step) == 6
