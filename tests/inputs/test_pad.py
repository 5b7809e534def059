"""One record -> one image of a batch."""

import numpy as np
import pytest

from sor_jax.inputs.pad import empty_image, pad_record
from sor_jax.inputs.record import decode_masks
from tests.inputs.fakes import made_up_record

SHAPES = {
    "image": ((32, 64, 3), np.uint8),
    "image_hw": ((2,), np.int32),
    "valid": ((), bool),
    "gt_boxes": ((5, 4), np.float32),
    "gt_valid": ((5,), bool),
    "gt_rank_class": ((5,), np.int32),
    "gt_masks": ((5, 32, 64), np.uint8),
    "objects_left_out": ((), np.int32),
}


def spec(image):
    return {key: (value.shape, value.dtype) for key, value in image.items()}


@pytest.mark.parametrize("hw", [(24, 32), (32, 64), (100, 80), (10, 90)])
def test_shapes_do_not_depend_on_the_photograph(hw):
    boxes = [(1, 1, 9, 9)]
    assert (
        spec(pad_record(made_up_record(hw=hw, boxes=boxes), image_hw=(32, 64), max_objects=5))
        == SHAPES
    )
    assert spec(empty_image(image_hw=(32, 64), max_objects=5)) == SHAPES


def test_untouched_when_the_size_is_right():
    record = made_up_record(hw=(32, 64))
    got = pad_record(record, image_hw=(32, 64), max_objects=2)
    np.testing.assert_array_equal(got["image"], record.image)
    np.testing.assert_array_equal(got["gt_boxes"], record.boxes)
    np.testing.assert_array_equal(got["gt_masks"], decode_masks(record.masks, (32, 64)))
    assert got["valid"]
    assert got["objects_left_out"] == 0


def test_padding_is_right_and_below_and_zero():
    record = made_up_record(hw=(40, 40), boxes=[(0, 0, 40, 40)])
    got = pad_record(record, image_hw=(32, 64), max_objects=3)
    np.testing.assert_array_equal(got["image_hw"], [32, 32])
    assert got["image"][:, :32].any()
    assert not got["image"][:, 32:].any()
    np.testing.assert_array_equal(got["gt_boxes"][0], [0, 0, 32, 32])
    assert got["gt_masks"][0, :, :32].all()
    assert not got["gt_masks"][0, :, 32:].any()
    np.testing.assert_array_equal(got["gt_valid"], [True, False, False])
    assert not got["gt_masks"][1:].any()


def test_only_ranked_objects_most_salient_first():
    boxes = [(0, 0, 4, 4), (4, 0, 8, 4), (8, 0, 12, 4), (12, 0, 16, 4)]
    record = made_up_record(boxes=boxes, values=[0.8, 0.5, 1.0, 0.9])
    got = pad_record(record, image_hw=(24, 32), max_objects=5)
    np.testing.assert_array_equal(got["gt_boxes"][:3, 0], [8, 12, 0])
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3, 2, -1, -1])
    np.testing.assert_array_equal(got["gt_valid"], [True, True, True, False, False])


def test_the_least_salient_are_left_out_and_counted():
    boxes = [(4 * i, 0, 4 * i + 4, 4) for i in range(6)]
    record = made_up_record(boxes=boxes, values=[0.6, 0.7, 0.8, 0.9, 1.0, 0.0])
    got = pad_record(record, image_hw=(24, 32), max_objects=2)
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3])
    np.testing.assert_array_equal(got["gt_boxes"][:, 0], [16, 12])
    assert got["objects_left_out"] == 3  # the unranked one was never an object


def test_an_object_outside_the_photograph_is_left_out_and_counted():
    boxes = [(40, 0, 50, 4), (-3, 2, 10, 30), (5, 5, 5, 9)]
    got = pad_record(made_up_record(boxes=boxes), image_hw=(24, 32), max_objects=5)
    np.testing.assert_array_equal(got["gt_boxes"][0], [0, 2, 10, 24])
    np.testing.assert_array_equal(got["gt_rank_class"], [3, -1, -1, -1, -1])
    assert got["objects_left_out"] == 2


def test_no_objects():
    got = pad_record(made_up_record(boxes=[]), image_hw=(24, 32), max_objects=3)
    assert got["valid"]
    assert not got["gt_valid"].any()
    assert got["objects_left_out"] == 0


@pytest.mark.parametrize("hw", [(24, 32), (32, 20)])
def test_flip_mirrors_all_within_the_photograph(hw):
    record = made_up_record(hw=hw, boxes=[(2, 3, 12, 20), (9, 4, 20, 22)])
    plain = pad_record(record, image_hw=(32, 64), max_objects=5)
    flipped = pad_record(record, image_hw=(32, 64), max_objects=5, flip=True)
    height, width = plain["image_hw"]
    inside = (slice(height), slice(width))
    np.testing.assert_array_equal(flipped["image"][inside], plain["image"][inside][:, ::-1])
    assert not flipped["image"][:, width:].any()
    for slot in range(2):
        mask = plain["gt_masks"][slot][inside]
        np.testing.assert_array_equal(flipped["gt_masks"][slot][inside], mask[:, ::-1])
        x0, y0, x1, y1 = plain["gt_boxes"][slot]
        np.testing.assert_allclose(flipped["gt_boxes"][slot], [width - x1, y0, width - x0, y1])
    assert (flipped["gt_boxes"][2:] == 0).all()  # padding is not moved
    for key in ("gt_rank_class", "gt_valid", "image_hw"):
        np.testing.assert_array_equal(flipped[key], plain[key])
