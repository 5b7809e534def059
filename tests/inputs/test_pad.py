"""One record -> one image of a batch."""

import dataclasses

import numpy as np
import pytest

from sor_jax.datasets.masks import decode_masks
from sor_jax.inputs.augment import View
from sor_jax.inputs.pad import empty_image, pad_record
from tests.inputs.fakes import encode, made_up_record
from tests.polygons import coco_fill

SHAPES = {
    "image": ((32, 64, 3), np.uint8),
    "valid_hw": ((2,), np.int32),
    "valid": ((), bool),
    "gt_boxes": ((5, 4), np.float32),
    "gt_valid": ((5,), bool),
    "gt_rank_class": ((5,), np.int32),
    "gt_masks": ((5, 32, 64), np.uint8),
    "gt_has_mask": ((5,), bool),
    "gt_edges": ((5, 6, 4), np.float32),
    "gt_edge_part": ((5, 6), np.int32),
    "gt_edge_valid": ((5, 6), bool),
    "objects_left_out": ((), np.int32),
}


def spec(image):
    return {key: (value.shape, value.dtype) for key, value in image.items()}


@pytest.mark.parametrize("hw", [(24, 32), (32, 64), (100, 80), (10, 90)])
def test_shapes_do_not_depend_on_the_photograph(hw):
    record = made_up_record(hw=hw, boxes=[(1, 1, 9, 9)])
    sizes = {"canvas_hw": (32, 64), "max_objects": 5, "max_edges": 6}
    assert spec(pad_record(record, **sizes)) == SHAPES
    assert spec(empty_image(**sizes)) == SHAPES


def test_untouched_when_the_size_is_right():
    record = made_up_record(hw=(32, 64))
    got = pad_record(record, canvas_hw=(32, 64), max_objects=2)
    np.testing.assert_array_equal(got["image"], record.image)
    np.testing.assert_array_equal(got["gt_boxes"], record.boxes)
    np.testing.assert_array_equal(got["gt_masks"], decode_masks(record.masks, (32, 64)))
    assert got["valid"]
    assert got["objects_left_out"] == 0


def test_padding_is_right_and_below_and_zero():
    record = made_up_record(hw=(40, 40), boxes=[(0, 0, 40, 40)])
    got = pad_record(record, canvas_hw=(32, 64), max_objects=3)
    np.testing.assert_array_equal(got["valid_hw"], [32, 32])
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
    got = pad_record(record, canvas_hw=(24, 32), max_objects=5)
    np.testing.assert_array_equal(got["gt_boxes"][:3, 0], [8, 12, 0])
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3, 2, -1, -1])
    np.testing.assert_array_equal(got["gt_valid"], [True, True, True, False, False])


def test_the_least_salient_are_left_out_and_counted():
    boxes = [(4 * i, 0, 4 * i + 4, 4) for i in range(6)]
    record = made_up_record(boxes=boxes, values=[0.6, 0.7, 0.8, 0.9, 1.0, 0.0])
    got = pad_record(record, canvas_hw=(24, 32), max_objects=2)
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3])
    np.testing.assert_array_equal(got["gt_boxes"][:, 0], [16, 12])
    assert got["objects_left_out"] == 3  # the unranked one was never an object


def test_an_object_outside_the_photograph_is_left_out_and_counted():
    boxes = [(40, 0, 50, 4), (-3, 2, 10, 30), (5, 5, 5, 9)]
    got = pad_record(made_up_record(boxes=boxes), canvas_hw=(24, 32), max_objects=5)
    np.testing.assert_array_equal(got["gt_boxes"][0], [0, 2, 10, 24])
    np.testing.assert_array_equal(got["gt_rank_class"], [3, -1, -1, -1, -1])
    assert got["objects_left_out"] == 2


def test_no_objects():
    got = pad_record(made_up_record(boxes=[]), canvas_hw=(24, 32), max_objects=3)
    assert got["valid"]
    assert not got["gt_valid"].any()
    assert got["objects_left_out"] == 0


@pytest.mark.parametrize("hw", [(24, 32), (32, 20)])
def test_flip_mirrors_all_within_the_photograph(hw):
    record = made_up_record(hw=hw, boxes=[(2, 3, 12, 20), (9, 4, 20, 22)])
    plain = pad_record(record, canvas_hw=(32, 64), max_objects=5)
    flipped = pad_record(record, canvas_hw=(32, 64), max_objects=5, flip=True)
    height, width = plain["valid_hw"]
    inside = (slice(height), slice(width))
    np.testing.assert_array_equal(flipped["image"][inside], plain["image"][inside][:, ::-1])
    assert not flipped["image"][:, width:].any()
    for slot in range(2):
        mask = plain["gt_masks"][slot][inside]
        np.testing.assert_array_equal(flipped["gt_masks"][slot][inside], mask[:, ::-1])
        x0, y0, x1, y1 = plain["gt_boxes"][slot]
        np.testing.assert_allclose(flipped["gt_boxes"][slot], [width - x1, y0, width - x0, y1])
    assert (flipped["gt_boxes"][2:] == 0).all()  # padding is not moved
    for key in ("gt_rank_class", "gt_valid", "valid_hw"):
        np.testing.assert_array_equal(flipped[key], plain[key])


def mask_of_edges(image, slot, hw):
    """The pixels that an object's padded edges enclose, by pycocotools."""
    valid = image["gt_edge_valid"][slot]
    edges, part = image["gt_edges"][slot][valid], image["gt_edge_part"][slot][valid]
    parts = [edges[part == k, :2] for k in range(part.max() + 1)]
    # Every part is closed: an edge begins where the one before ends.
    for k, points in enumerate(parts):
        np.testing.assert_array_equal(edges[part == k, 2:], np.roll(points, -1, axis=0))
    return coco_fill(parts, hw)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("hw", [(24, 32), (48, 40)])
def test_polygons_move_with_the_masks(hw, flip):
    boxes = [(2, 4, 12, 20), (14, 4, 30, 22)]
    triangle = np.float32([[2, 4], [12, 4], [7, 20]])
    parts = [
        np.float32([[14, 4], [22, 4], [22, 22], [14, 22]]),
        np.float32([[24, 6], [30, 6], [30, 9]]),
    ]
    polygons = [[triangle], parts]
    record = made_up_record(hw=hw, boxes=boxes, polygons=polygons)
    masks = [encode(coco_fill(part, hw)) for part in polygons]
    record = dataclasses.replace(record, masks=masks)
    got = pad_record(record, canvas_hw=(96, 128), max_objects=3, max_edges=7, flip=flip)
    assert got["gt_edge_valid"].sum(axis=1).tolist() == [3, 7, 0]
    for slot in range(2):
        mask = got["gt_masks"][slot]
        differ = mask_of_edges(got, slot, mask.shape) != mask
        assert differ.sum() <= 0.12 * mask.sum()  # along the border


def test_objects_with_too_many_edges_and_rles_have_none():
    square = [np.float32([[2, 3], [12, 3], [12, 20], [2, 20]])]
    for polygons, max_edges, want in (([square, []], 4, [4, 0]), ([square, []], 3, [0, 0])):
        record = made_up_record(polygons=polygons)
        got = pad_record(record, canvas_hw=(24, 32), max_objects=2, max_edges=max_edges)
        assert got["gt_edge_valid"].sum(axis=1).tolist() == want
        assert got["gt_masks"].any(axis=(1, 2)).all()


def test_all_objects_are_ground_truth_ranked_first_then_the_larger():
    boxes = [(0, 0, 4, 4), (4, 0, 8, 4), (8, 0, 12, 6), (12, 0, 16, 4), (16, 2, 20, 2)]
    record = made_up_record(boxes=boxes, values=[0.9, 0.0, 0.5, 1.0, 0.0])  # the last is empty
    got = pad_record(record, canvas_hw=(24, 32), max_objects=5, targets="all")
    np.testing.assert_array_equal(got["gt_boxes"][:4, 0], [12, 0, 8, 4])
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3, -1, -1, -1])
    np.testing.assert_array_equal(got["gt_valid"], [True] * 4 + [False])
    assert got["gt_masks"][:4].any(axis=(1, 2)).all()
    got = pad_record(record, canvas_hw=(24, 32), max_objects=3, targets="all")
    np.testing.assert_array_equal(got["gt_boxes"][:, 0], [12, 0, 8])
    assert got["objects_left_out"] == 1


def test_targets_are_one_of_two():
    with pytest.raises(ValueError, match=r"config\.data\.targets is 'every'"):
        pad_record(made_up_record(), canvas_hw=(24, 32), max_objects=5, targets="every")


def test_of_eight_ranks_the_ninth_object_has_none():
    boxes = [(3 * i, 2, 3 * i + 3, 9) for i in range(10)]
    values = [1 - place / 20 for place in (4, 0, 1, 2, 3, 5, 6, 7, 8, 9)]
    record = dataclasses.replace(made_up_record(boxes=boxes, values=values), num_ranks=8)
    got = pad_record(record, canvas_hw=(24, 32), max_objects=9)
    assert got["gt_rank_class"].tolist() == [7, 6, 5, 4, 3, 2, 1, 0, -1]
    np.testing.assert_array_equal(got["gt_boxes"][4], boxes[0])  # the fifth
    assert got["objects_left_out"] == 1


def boxes_alone(record, which):
    """The same record with some of its objects known by their boxes alone."""
    empty = encode(np.zeros(record.image.shape[:2]))
    masks = [empty if index in which else mask for index, mask in enumerate(record.masks)]
    return dataclasses.replace(record, masks=masks)


def test_an_object_without_a_mask_keeps_its_box_and_rank():
    record = boxes_alone(made_up_record(), [1])
    got = pad_record(record, canvas_hw=(24, 32), max_objects=3)
    assert got["gt_has_mask"].tolist() == [True, False, False]
    np.testing.assert_array_equal(got["gt_boxes"][:2], record.boxes)
    assert got["gt_rank_class"][:2].tolist() == [4, 3]
    assert got["gt_masks"][0].any() and not got["gt_masks"][1].any()


def test_a_window_keeps_a_box_of_which_a_quarter_is_seen():
    """Boxes of 8 x 8 of which the window leaves 8, 2 and 1 columns."""
    boxes = [(0, 0, 8, 8), (10, 0, 18, 8), (11, 10, 19, 18)]
    record = boxes_alone(made_up_record(boxes=boxes), [0, 1, 2])
    view = View(resized_hw=(24, 32), top=0, left=0, hw=(24, 12))
    got = pad_record(record, canvas_hw=(24, 32), max_objects=3, view=view)
    assert got["gt_valid"].tolist() == [True, True, False]
    np.testing.assert_array_equal(got["gt_boxes"][:2], [[0, 0, 8, 8], [10, 0, 12, 8]])
    assert not got["gt_has_mask"].any()


def test_all_targets_of_a_set_without_masks_are_ordered_by_their_boxes():
    boxes = [(0, 0, 4, 4), (5, 0, 25, 20), (0, 5, 4, 15)]
    record = boxes_alone(made_up_record(boxes=boxes, values=[0, 0, 0]), [0, 1, 2])
    got = pad_record(record, canvas_hw=(24, 32), max_objects=3, targets="all")
    np.testing.assert_array_equal(got["gt_boxes"], np.float32(boxes)[[1, 2, 0]])
