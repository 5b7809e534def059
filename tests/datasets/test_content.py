"""A data set is known by its content; its records are prepared once and healed by themselves."""

import json
import os
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets import assr
from sor_jax.datasets.caches import caches
from sor_jax.datasets.prepare import LocalBuilder
from sor_jax.datasets.source import RecordSource
from tests.datasets import assr_tree
from tests.processes import output_of, python

DEEP = {"a/x": assr_tree.IMAGES["two"], "a_x": assr_tree.IMAGES["one"]}


@pytest.fixture
def root(tmp_path):
    assr_tree.write_split(tmp_path / "files", "train", DEEP)
    return tmp_path / "files"


def opened(root, tmp_path, split="train", **options):
    builder = assr.builder(root, split, cache_dir=tmp_path / "cache", **options)
    return RecordSource(builder.data_dir, split)


@pytest.fixture
def no_preparing(monkeypatch):
    def forbid():
        monkeypatch.setattr(LocalBuilder, "download_and_prepare", None)  # a call would raise

    return forbid


def change_photograph(root, keep_time=False):
    """Other pixels of the same number of bytes, in a sub-folder."""
    file = root / "images/train/a/x.jpg"
    stat, encoded = file.stat(), bytearray(file.read_bytes())
    encoded[-20] ^= 1
    file.write_bytes(encoded)
    if keep_time:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_change_in_a_sub_folder_is_noticed(root, tmp_path, keep_time):
    before = opened(root, tmp_path)
    change_photograph(root, keep_time)
    after = opened(root, tmp_path)
    assert after.fingerprint != before.fingerprint
    assert (after[0].image != before[0].image).any()
    np.testing.assert_array_equal(after[1].image, before[1].image)


@pytest.mark.parametrize("move", [shutil.copytree, shutil.move])
def test_a_folder_that_lies_elsewhere_is_recognised(root, tmp_path, move, no_preparing):
    first = opened(root, tmp_path)
    move(root, tmp_path / "elsewhere")
    no_preparing()
    again = opened(tmp_path / "elsewhere", tmp_path)
    assert again.fingerprint == first.fingerprint and again.directory == first.directory


def test_known_digests_of_files_are_kept_and_only_while_they_hold(root, tmp_path, monkeypatch):
    old = time.time() - 60
    first = opened(root, tmp_path)
    monkeypatch.setattr(time, "time_ns", lambda: int((old + 120) * 1e9))
    opened(root, tmp_path)  # files are old enough now to be remembered
    (index,) = (tmp_path / "cache/content").iterdir()
    assert len(json.loads(index.read_text())) == 8
    for damaged in ("[1, 2", "[]", '{"x": [1], "y": 2}'):
        index.write_text(damaged)
        assert opened(root, tmp_path).fingerprint == first.fingerprint
    change_photograph(root)
    assert opened(root, tmp_path).fingerprint != first.fingerprint


def test_other_splits_and_files_that_no_list_names_never_matter(root, tmp_path):
    first = opened(root, tmp_path)
    (root / "images/train/dangling.jpg").symlink_to("nowhere")
    with open(os.fsencode(root / "images/train") + b"/caf\xe9.jpg", "wb") as file:
        file.write(b"x")
    (root / "gt/train/a/note.txt").write_text("x")
    (root / "test_images.txt").write_text("nothing\n")
    (root / "val_images.txt").write_bytes(b"\xff")
    assert opened(root, tmp_path).directory == first.directory
    with pytest.raises(ValueError, match=r"val_images\.txt"):
        opened(root, tmp_path, "val")
    for on_error in ("raise", "skip"):
        with pytest.raises(FileNotFoundError, match=r"obj_seg_data_test\.json"):
            opened(root, tmp_path, "test", on_error=on_error)
    assert len(list((tmp_path / "cache/assr").iterdir())) == 1  # failures leave nothing


def test_the_command_prepares_the_splits_that_it_can(root, tmp_path):
    assr_tree.write_split(root, "test")
    (root / "rank_order/train/a/x.json").write_text("{")
    done = python("data/assr/prepare.py", "--root", root, "--cache_dir", tmp_path)
    assert done.returncode == 1 and "a/x.json" in done.stderr and "Traceback" not in done.stderr
    assert "test        4 photographs" in done.stdout


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def change_format(file):
    file.write_text(file.read_text().replace('"format": 2', '"format": 1'))


HARM = {
    "a shard cut": ("*.array_record*", cut),
    "a shard missing": ("*.array_record*", lambda file: file.unlink()),
    "info cut": ("dataset_info.json", cut),
    "features missing": ("features.json", lambda file: file.unlink()),
    "about cut": ("about.json", cut),
    "about missing": ("about.json", lambda file: file.unlink()),
    "another version": ("about.json", change_format),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_cache_is_told_and_made_anew(root, tmp_path, harm, capsys):
    first = opened(root, tmp_path)
    pattern, act = HARM[harm]
    (file,) = (tmp_path / "cache/assr").rglob(pattern)
    act(file)
    capsys.readouterr()
    again = opened(root, tmp_path)
    told = capsys.readouterr().err
    assert again.directory == first.directory and "anew" in told
    assert file.name in told or "version" in told
    np.testing.assert_array_equal(again[0].image, first[0].image)


def test_a_shard_whose_bytes_went_bad_is_named_when_it_is_read(root, tmp_path):
    source = opened(root, tmp_path)
    (file,) = (tmp_path / "cache/assr").rglob("*.array_record*")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle - 500 : middle + 500] = bytes(1000)
    file.write_bytes(content)
    with pytest.raises(ValueError, match="delete .*prepared anew"):
        [RecordSource(source.directory, "train")[index] for index in range(2)]


def test_a_whole_cache_that_can_only_be_read_is_used(root, tmp_path, monkeypatch):
    first = opened(root, tmp_path)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    for name in ("touch", "mkdir", "write_bytes", "replace"):
        monkeypatch.setattr("pathlib.Path." + name, refuse)
    shutil.copytree(root, tmp_path / "copy")
    assert opened(tmp_path / "copy", tmp_path).directory == first.directory
    change_photograph_elsewhere(tmp_path / "copy")
    with pytest.raises(OSError, match="config.data.cache_dir"):
        opened(tmp_path / "copy", tmp_path)


def change_photograph_elsewhere(root):
    with open(root / "train_images.txt", "a") as file:
        file.write("\n")


def test_caches_that_nothing_uses_are_listed_and_removed(root, tmp_path):
    old = opened(root, tmp_path)
    ranks = root / "rank_order/train/a/x.json"
    ranks.write_text(ranks.read_text() + " ")
    new = opened(root, tmp_path)
    cut_off = tmp_path / "cache/assr/train-00/incomplete.XY_2.0.0"
    cut_off.mkdir(parents=True)
    found = {os.fspath(cache.path): cache for cache in caches(tmp_path / "cache")}
    assert found[new.directory].used_by == (str(root),)
    assert "has changed" in found[old.directory].why_not
    assert "cut off" in found[str(cut_off)].why_not
    command = ("data/caches.py", "--cache_dir", tmp_path / "cache")
    listed = output_of(*command)
    assert all(path in listed for path in found) and os.path.isdir(old.directory)
    output_of(*command, "--remove")
    assert [os.fspath(cache.path) for cache in caches(tmp_path / "cache")] == [new.directory]
    shutil.rmtree(root)
    (cache,) = caches(tmp_path / "cache")
    assert "is gone" in cache.why_not


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_no_message_depends_on_the_terminals_encoding(tmp_path, encoding):
    root = tmp_path / "фото"
    assr_tree.write_split(root, "train", {"é": assr_tree.IMAGES["one"]})
    assr_tree.write_split(root, "test", {"щ": assr_tree.IMAGES["one"]})
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "gt/train/é.png")
    command = ("data/assr/prepare.py", "--root", root, "--cache_dir", tmp_path / "щ")
    done = python(*command, PYTHONIOENCODING=encoding)
    assert done.returncode == 1 and "(9, 9)" in done.stderr, done.stderr
    assert "test        1 photographs" in done.stdout and "Traceback" not in done.stderr
