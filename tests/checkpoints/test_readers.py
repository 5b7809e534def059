"""Checkpoints that somebody reads while their run saves and deletes."""

import shutil
import threading

import pytest

from sor_jax.checkpoints import checkpoint, saved
from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.saved import find_checkpoint, find_damage, open_checkpoint
from sor_jax.files import write_whole
from tests.checkpoints.test_checkpoint import Position, kept, make_state


def test_a_checkpoint_that_is_read_stays_until_it_has_been_read(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    state = make_state()
    checkpoints.save(1, state, Position(1))
    with open_checkpoint(tmp_path) as folder:
        for step in (2, 3, 4):
            checkpoints.save(step, state, Position(step))
        assert folder.name == "1" and find_damage(folder) is None
        assert kept(tmp_path) == [1, 3, 4]
    checkpoints.save(5, state, Position(5))
    checkpoints.close()
    assert kept(tmp_path) == [4, 5]


def test_one_that_is_not_listed_yet_is_waited_for_and_then_held(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_state(), Position(step))
    files = tmp_path / "checkpoints/2/files.json"
    content = files.read_text()
    files.unlink()
    writer = threading.Timer(0.25, lambda: write_whole(files, content))
    writer.start()
    with open_checkpoint(tmp_path) as folder:
        assert folder.name == "2" and files.is_file()
        writer.join()
        for step in (3, 4, 5):
            checkpoints.save(step, make_state(), Position(step))
        assert find_damage(folder) is None
    checkpoints.close()


def test_what_a_killed_run_was_about_to_delete_is_there_again(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_state(), Position(step))
    checkpoints.close()
    folder = tmp_path / "checkpoints/1"
    folder.rename(folder.with_name("1.going"))
    assert find_checkpoint(tmp_path).name == "2"
    again = Checkpoints(tmp_path)
    assert kept(tmp_path) == [1, 2] and find_damage(folder) is None
    again.save(3, make_state(), Position(3))
    again.close()
    assert kept(tmp_path) == [2, 3]


@pytest.mark.parametrize("how", ["at once", "file by file"])
def test_a_checkpoint_that_vanishes_gives_way_to_the_next(tmp_path, monkeypatch, how):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_state(), Position(step))
    checkpoints.close()
    choose, asked = saved._choose, []

    def vanishing(source, prefer):
        folder = choose(source, prefer)
        asked.append(folder.name)
        if folder.name == "2":  # between choosing and holding it
            shutil.rmtree(folder / "state" if how == "file by file" else folder)
        return folder

    monkeypatch.setattr(saved, "_choose", vanishing)
    if how == "file by file":
        monkeypatch.setattr(
            saved.time, "sleep", lambda _: shutil.rmtree(tmp_path / "checkpoints/2")
        )
    with open_checkpoint(tmp_path) as folder:
        assert folder.name == "1"
    assert asked[0] == "2"


def test_what_was_to_go_stays_where_the_save_fails(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, make_state(), Position(step))

    def full(folder):
        assert kept_names(tmp_path) == ["1.going", "2", "3"]
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "write_manifest", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoints.save(3, make_state(), Position(3))
    checkpoints.close()
    assert find_damage(tmp_path / "checkpoints/1") is None
    assert "1" in kept_names(tmp_path)


def kept_names(workdir):
    return sorted(folder.name for folder in (workdir / "checkpoints").iterdir())
