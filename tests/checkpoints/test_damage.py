"""Checkpoints whose files are no longer what was written, and saves that fail."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.saved import FILES, find_checkpoint, find_damage
from sor_jax.checkpoints.weights import load_variables
from tests.checkpoints.test_checkpoint import Position, abstract, assert_same, make_state


def write(workdir, steps=(1, 2, 3), metric=""):
    checkpoints = Checkpoints(workdir, best_metric=metric)
    for step in steps:
        checkpoints.save(step, make_state(step), Position(step))
        checkpoints.note_score(step, step / 10)
    checkpoints.close()


def largest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def cut(folder):
    path = largest(folder)
    path.write_bytes(path.read_bytes()[:-3])
    return f"{path.relative_to(folder)} has {path.stat().st_size} bytes, not"


def turn_a_bit(folder):
    path = largest(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    return f"{path.relative_to(folder)} does not have the content that was written"


def remove(name):
    def act(folder):
        (folder / name).unlink()
        return f"{name} is missing"

    return act


def remove_all_arrays(folder):
    shutil.rmtree(folder / "state" / "ocdbt.process_0")
    return "is missing"


def spoil_the_list(folder):
    (folder / FILES).write_text("{")
    return f"{FILES} is not JSON"


DAMAGE = {
    "cut": cut,
    "bit": turn_a_bit,
    "position": remove("data/position.json"),
    "metadata": remove("state/_METADATA"),
    "arrays": remove_all_arrays,
    "list": spoil_the_list,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_newest_is_named_and_put_aside_and_the_one_before_is_taken(
    tmp_path, capsys, kind
):
    write(tmp_path)
    folder = tmp_path / "checkpoints" / "3"
    assert find_damage(folder) is None
    said = DAMAGE[kind](folder)
    with pytest.raises(ValueError, match="checkpoints/3 is damaged"):
        find_checkpoint(tmp_path)

    checkpoints = Checkpoints(tmp_path)
    told = capsys.readouterr().out
    assert f"{folder} is damaged (" in told and said in told
    assert f"put aside in {tmp_path}/damaged/3; step 2 is taken instead" in told
    assert (tmp_path / "damaged" / "3").is_dir() and not folder.exists()
    assert checkpoints.last_step == 2
    data = Position()
    assert_same(checkpoints.restore(abstract(make_state()), data), make_state(2))
    assert data.state == 2
    checkpoints.save(3, make_state(3), Position(3))  # the step comes again
    checkpoints.close()
    assert find_checkpoint(tmp_path).name == "3"


@pytest.mark.parametrize("kind", ["cut", "position", "metadata"])
def test_so_is_one_that_was_never_listed(tmp_path, capsys, kind):
    write(tmp_path)
    folder = tmp_path / "checkpoints" / "3"
    (folder / FILES).unlink()
    DAMAGE[kind](folder)
    checkpoints = Checkpoints(tmp_path)
    assert f"{folder} is damaged" in capsys.readouterr().out
    assert checkpoints.last_step == 2
    checkpoints.close()


@pytest.mark.parametrize("lost", ["state/_METADATA", "state/d", "state"])
def test_one_that_was_copied_in_part_is_named_when_it_is_read(tmp_path, lost):
    write(tmp_path, steps=(1,))
    folder = tmp_path / "checkpoints" / "1"
    (folder / FILES).unlink()
    path = folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match="checkpoints/1 is damaged"):
        load_variables(tmp_path, abstract(make_state()).variables)


def test_one_that_was_never_listed_but_can_be_read_is_taken(tmp_path):
    write(tmp_path)
    (tmp_path / "checkpoints" / "3" / FILES).unlink()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.last_step == 3
    checkpoints.close()
    assert len(json.loads((tmp_path / "checkpoints" / "3" / FILES).read_text())) > 5


def test_a_best_that_is_damaged_is_best_no_more_until_it_scores_again(tmp_path):
    write(tmp_path, metric="sor")
    cut(tmp_path / "checkpoints" / "3")
    checkpoints = Checkpoints(tmp_path, best_metric="sor")
    assert checkpoints.best_step is None
    checkpoints.save(3, make_state(3), Position(3))
    assert checkpoints.note_score(3, 0.3) and checkpoints.best_step == 3
    checkpoints.close()


def test_with_none_left_the_run_begins_again(tmp_path, capsys):
    write(tmp_path, steps=(1, 2))
    for step in "12":
        cut(tmp_path / "checkpoints" / step)
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.last_step is None
    assert "put aside in " in (said := capsys.readouterr().out)
    assert said.rstrip().endswith("none is left: from the start")
    checkpoints.close()


_SAVES = """
import resource, subprocess, sys
import jax.numpy as jnp
from sor_jax.checkpoints.checkpoint import Checkpoints

class Position:
    def get_state(self):
        return 0

def state(count):
    return {"params": {"w": jnp.zeros(count)}, "opt_state": {}}

checkpoints = Checkpoints(sys.argv[1])
checkpoints.save(1, state(10), Position())
if "limit" in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)
if "read-only" in sys.argv:
    subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
try:
    checkpoints.save(2, state(1 << 20), Position())
except OSError as error:
    print(error, flush=True)
checkpoints.close()
"""


def check_failed_save(workdir, command, reason):
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"step 2 cannot be saved in {workdir}/checkpoints: ")
    assert reason in ended.stdout
    assert f"{workdir}/checkpoints/1 is intact" in ended.stdout
    assert "Traceback" not in ended.stderr, ended.stderr


def test_a_save_that_fails_says_so_and_leaves_the_one_before(tmp_path):
    # A file that may not grow stands for a disk that is full.
    check_failed_save(
        tmp_path, [sys.executable, "-c", _SAVES, str(tmp_path), "limit"], "File too large"
    )
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]
    state = make_state()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.last_step == 1
    checkpoints.save(2, state, Position(2))
    checkpoints.close()


@pytest.mark.parametrize(
    "size, how, reason",
    [("3m", "", "it takes 4.2 MB, "), ("99m", "read-only", "Read-only file system")],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing(tmp_path, size, how, reason):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(tmp_path)]
    alone = ["unshare", "-Urm"]
    if subprocess.run([*alone, *mount]).returncode:
        pytest.skip("the system lets nobody mount a small disk")
    inside = ["sh", "-c", f'{" ".join(mount)} && exec "$@"', "sh"]
    saves = [sys.executable, "-c", _SAVES, str(tmp_path), how]
    check_failed_save(tmp_path, [*alone, *inside, *saves], reason)


def test_too_little_room_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    write(tmp_path, steps=(1,))
    checkpoints = Checkpoints(tmp_path)
    usage = shutil._ntuple_diskusage(100, 90, 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=r"it takes 0\.0 MB, 0\.0 MB are free.*checkpoints/1 is inta"):
        checkpoints.save(2, make_state(2), Position(2))
    checkpoints.close()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]


def test_a_damaged_checkpoint_is_never_evaluated(tmp_path):
    write(tmp_path, steps=(1,))
    turn_a_bit(pathlib.Path(tmp_path) / "checkpoints" / "1")
    with pytest.raises(ValueError, match="is damaged: .*Take another checkpoint"):
        load_variables(tmp_path, {"params": {}, "frozen": {}})
