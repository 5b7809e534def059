"""Damaged files: every message names the file, and the record where there is one."""

import json
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from sor_jax.datasets import assr
from sor_jax.datasets.checks import check_objects
from sor_jax.datasets.masks import rle_length
from tests.datasets import assr_tree

ANNOTATIONS = "obj_seg_data_train.json"


def set_field(name, value):
    def act(root):
        with assr_tree.edited_objects(root, "two") as objects:
            objects[1][name] = value

    return act


def cut_short(path, size):
    return lambda root: (root / path).write_bytes((root / path).read_bytes()[:size])


def remove(path):
    return lambda root: (root / path).unlink()


def write(path, text):
    return lambda root: (root / path).write_text(text)


def small_grey(root):
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(root / "gt/train/two.png")


SHORT_RLE = assr_tree.rle((4, 4, 9, 9))
SHORT_RLE["counts"] = SHORT_RLE["counts"][:-3]
OTHER_SIZE = assr_tree.rle((4, 4, 9, 9), hw=(20, 20))
DAMAGE = {
    "photograph cut off": (cut_short("images/train/two.jpg", 700), ["images/train/two.jpg"]),
    "photograph is text": (write("images/train/two.jpg", "hello"), ["images/train/two.jpg"]),
    "no photograph": (remove("images/train/two.jpg"), ["images/train/two.jpg", "does not exist"]),
    "no rank map": (remove("gt/train/two.png"), ["gt/train/two.png", "does not exist"]),
    "rank map of another size": (small_grey, ["gt/train/two.png", "(10, 12)", "(48, 64)"]),
    "no ranks": (remove("rank_order/train/two.json"), ["rank_order/train/two.json", "not exist"]),
    "ranks are no JSON": (write("rank_order/train/two.json", "{"), ["two.json", "JSON"]),
    "ranks without the field": (write("rank_order/train/two.json", "[]"), ["two.json"]),
    "a rank too few": (
        write("rank_order/train/two.json", '{"rank_order": [1.0]}'),
        ["record two", "2 objects but 1 rank values", "rank_order/train/two.json"],
    ),
    "a rank above one": (
        write("rank_order/train/two.json", '{"rank_order": [1.0, 9]}'),
        ["record two", "object 1", "rank value is 9"],
    ),
    "no annotations": (remove(ANNOTATIONS), [ANNOTATIONS, "does not exist"]),
    "annotations cut off": (cut_short(ANNOTATIONS, 100), [ANNOTATIONS, "JSON"]),
    "annotations of another kind": (write(ANNOTATIONS, '{"a": 1}'), [ANNOTATIONS, "expected"]),
    "an image without an entry": (
        write("train_images.txt", "two\nlost\n"),
        [ANNOTATIONS, "no entry for lost", "train_images.txt"],
    ),
    "an image twice": (write("train_images.txt", "two\none\ntwo\n"), ["train_images.txt", "two"]),
    "an empty list": (write("train_images.txt", "\n"), ["train_images.txt", "no image"]),
    "box as x y w h": (set_field("bbox", [50, 40, 10, 8]), [ANNOTATIONS, "record two", "object 1"]),
    "box of three": (set_field("bbox", [1, 2, 3]), ["record two", "object 1", "bbox is [1, 2, 3]"]),
    "box not a number": (set_field("bbox", [1, 2, 3, float("nan")]), ["record two", "bbox"]),
    "polygon of odd length": (set_field("segmentation", [[1, 2, 3, 4, 5, 6, 7]]), ["two", "odd"]),
    "polygon of a line": (set_field("segmentation", [[1, 2, 3, 4]]), ["two", "three points"]),
    "no polygon": (set_field("segmentation", []), ["record two", "object 1", "three points"]),
    "mask is text": (set_field("segmentation", "abc"), ["record two", "object 1", "polygons"]),
    "RLE of another size": (set_field("segmentation", OTHER_SIZE), ["two", "[20, 20]", "[48, 64]"]),
    "RLE cut off": (set_field("segmentation", SHORT_RLE), ["record two", "object 1", "RLE"]),
    "RLE without counts": (set_field("segmentation", {"size": [48, 64]}), ["two", "'counts'"]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(tmp_path, damage):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    change, parts = DAMAGE[damage]
    change(root)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        assr.builder(root, "train", cache_dir=tmp_path / "cache")
    for part in parts:
        assert part in str(error.value)


def test_a_missing_field_is_named():
    entry = {"bbox": [0, 0, 4, 4]}
    with pytest.raises(ValueError, match=re.escape("object 0: no field 'segmentation'")):
        check_objects([entry], [1.0], photo_hw=(8, 8))


def test_a_polygon_part_without_area_is_dropped():
    part = assr_tree.polygon((1, 1, 5, 5))[0]
    entry = {"bbox": [1, 1, 5, 5], "segmentation": [[1, 1, 2, 2], part]}
    (checked,) = check_objects([entry], [1.0], photo_hw=(8, 8)).objects
    assert json.loads(checked["segmentation"]) == [part]


@pytest.mark.parametrize("hw", [(1, 1), (7, 5), (96, 130)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_rle_length_counts_the_pixels(hw, share):
    mask = np.random.default_rng(0).random(hw) < share
    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert rle_length(counts) == hw[0] * hw[1]
    # A large square has runs of more than 5 and 10 bits.
    square = assr_tree.rle((30, 20, 500, 400), hw=(480, 640))
    assert rle_length(square["counts"]) == 480 * 640


def test_rle_length_refuses_what_is_not_an_rle():
    for text in ("\x01", "P", "2O"):  # no such character, cut off, a negative run
        with pytest.raises(ValueError, match="RLE"):
            rle_length(text)
