"""What the check of a data set finds: in hand-made records, in folders, as a command."""

import json

import numpy as np
from PIL import Image

from sor_jax.datasets.audit import copies, look_at, picture_hash
from sor_jax.datasets.checks import box_iou
from sor_jax.datasets.masks import encode_masks, extents
from sor_jax.datasets.source import open_source
from tests.datasets import assr_tree
from tests.processes import ROOT, python


def check(root, tmp_path, *words):
    folders = ("--cache_dir", tmp_path / "cache", "--out", tmp_path / "out")
    return python(ROOT / "data/check.py", root, *words, *folders, cwd=tmp_path)


def write(root, split, images):
    assr_tree.write_split(root, split, images)


def test_a_good_folder_passes(tmp_path):
    write(tmp_path / "set", "train", assr_tree.IMAGES)
    done = check(tmp_path / "set", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out" / "check.json").read_text())
    train = summary["splits"]["train"]
    assert train == {"images": 4, "objects": 8, "ranked": 6, "damaged": []}
    assert summary["suspicious"] == {}
    assert not (tmp_path / "out" / "check.png").exists()


def test_what_is_damaged_leaks_or_looks_wrong_is_told_and_drawn(tmp_path):
    root = tmp_path / "set"
    twice = [((4, 6, 20, 30), 0.9), ((5, 6, 20, 30), 1.0)]
    write(root, "train", assr_tree.IMAGES | {"two": twice})
    write(root, "test", {"copy": assr_tree.IMAGES["three"], "bad": assr_tree.IMAGES["two"]})
    photo = Image.open(root / "images/train/three.jpg")
    photo.save(root / "images/test/copy.jpg", quality=60)
    (root / "images/test/bad.jpg").write_bytes(b"no image")
    done = check(root, tmp_path)
    assert done.returncode == 1
    assert "LEAK" in done.stdout and "train three and test copy" in done.stdout
    assert "bad.jpg" in done.stdout and "Traceback" not in done.stderr
    summary = json.loads((tmp_path / "out" / "check.json").read_text())
    assert list(summary["suspicious"]) == ["train/two"]
    assert "0.94" in summary["suspicious"]["train/two"][0]
    # Two names of equal length have the same noise in assr_tree.
    pairs = [[["train", "two"], ["train", "one"]], [["train", "three"], ["test", "copy"]]]
    assert summary["look_the_same"] == pairs
    with Image.open(tmp_path / "out" / "check.png") as page:
        assert page.width > 300


def test_a_folder_that_is_none_is_told(tmp_path):
    done = check(tmp_path, tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr and "Traceback" not in done.stderr


def test_many_records_are_looked_at_by_several_processes_in_order(tmp_path):
    options = {"root": None, "cache_dir": tmp_path, "canvas_hw": (32, 32)}
    source = open_source("scenes", split="test", num_scenes={"test": 230}, **options)
    facts = list(look_at(source, "test"))
    assert [one.index for one in facts] == list(range(230))
    assert [one.image_id for one in facts[:3]] == [source[i].image_id for i in range(3)]


def test_a_box_is_held_against_the_smallest_around_its_mask():
    mask = np.zeros((10, 10), bool)
    mask[2:6, 1:5] = True  # 16 pixels, x 1..5, y 2..6
    (around,) = extents(encode_masks(mask[None]))
    assert box_iou([1.0, 2, 5, 6], around) == 1
    assert box_iou([1.0, 2, 5, 4], around) == 0.5
    assert box_iou([6.0, 7, 9, 9], around) == 0
    assert box_iou([1.0, 2, 4, 4], around) == 6 / 16  # x y w h of it, read as corners


def test_copies_have_the_same_hash_and_other_pictures_have_not(tmp_path):
    options = {"root": None, "cache_dir": tmp_path, "canvas_hw": (96, 128)}
    source = open_source("scenes", split="test", num_scenes={"test": 60}, **options)
    facts = list(look_at(source, "test"))
    assert copies(facts) == []
    picture = source[0].image
    small = np.asarray(Image.fromarray(picture).resize((90, 70)))
    assert (picture_hash(picture) != picture_hash(small)).sum() <= 12
    assert not picture_hash(np.full((40, 40, 3), 99, np.uint8)).any()
