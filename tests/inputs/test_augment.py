"""Changed training images: what is seen, what is lost, what is pasted."""

import numpy as np
import pytest

from sor_jax.inputs.augment import (
    Augmentation,
    View,
    bounds,
    draw_view,
    jitter_colour,
    paste_objects,
    whole_view,
)
from sor_jax.inputs.pad import pad_record
from tests.inputs.fakes import made_up_record

SIZE = {"canvas_hw": (32, 32), "max_objects": 4}
BOXES = [(0, 0, 8, 8), (12, 4, 28, 20), (20, 22, 30, 30)]


def test_the_whole_view_is_the_image_as_it_was():
    record = made_up_record(hw=(24, 40), boxes=[(2, 3, 30, 20), (5, 5, 9, 9)])
    view = whole_view((24, 40), (32, 32))
    expected, got = pad_record(record, **SIZE), pad_record(record, view=view, **SIZE)
    for key, value in expected.items():
        np.testing.assert_array_equal(got[key], value, err_msg=key)


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_by_hand(flip):
    """Twice as large, the window from (16, 16) on: of the photograph rows and columns 8 to 24."""
    record = made_up_record(hw=(32, 32), boxes=BOXES, values=[1.0, 0.9, 0.8])
    got = pad_record(record, view=View((64, 64), 16, 16, (32, 32)), flip=flip, **SIZE)
    # The first is out of sight, of the third 4 x 2 of 10 x 8 are left: too little.
    np.testing.assert_array_equal(got["gt_valid"], [True, False, False, False])
    np.testing.assert_array_equal(got["gt_rank_class"], [4, -1, -1, -1])  # closed up
    x0, x1 = (0, 24) if flip else (8, 32)
    np.testing.assert_array_equal(got["gt_boxes"][0], [x0, 0, x1, 24])
    expected = np.zeros((32, 32), bool)
    expected[0:24, x0:x1] = True
    np.testing.assert_array_equal(got["gt_masks"][0], expected)
    assert got["objects_left_out"] == 2
    assert got["valid_hw"].tolist() == [32, 32]


def test_smaller_than_the_canvas():
    record = made_up_record(hw=(32, 32), boxes=BOXES, values=[0.8, 0.9, 1.0])
    got = pad_record(record, view=View((16, 16), 0, 0, (16, 16)), **SIZE)
    np.testing.assert_array_equal(got["gt_boxes"][:3], np.array(BOXES, np.float32)[::-1] / 2)
    np.testing.assert_array_equal(got["gt_rank_class"], [4, 3, 2, -1])
    assert got["valid_hw"].tolist() == [16, 16]
    assert not got["image"][16:].any()


def test_outlines_of_what_is_cut_are_dropped_and_others_move():
    square = [np.float32([[12, 4], [28, 4], [28, 20], [12, 20]])]
    small = [np.float32([[10, 10], [14, 10], [14, 14], [10, 14]])]
    record = made_up_record(
        hw=(32, 32), boxes=[BOXES[1], (10, 10, 14, 14)], polygons=[square, small]
    )
    got = pad_record(record, max_edges=4, view=View((64, 64), 16, 16, (32, 32)), **SIZE)
    np.testing.assert_array_equal(got["gt_edge_valid"].any(axis=1), [False, True, False, False])
    corners = got["gt_edges"][1, :, :2]
    np.testing.assert_array_equal(corners[np.lexsort(corners.T)][0], [4, 4])
    np.testing.assert_array_equal(got["gt_boxes"][1], [4, 4, 12, 12])


def test_views_lie_inside_and_reach_the_range():
    rng, factors = np.random.default_rng(0), []
    for _ in range(300):
        view = draw_view(rng, (48, 64), (32, 32), (0.5, 2.0))
        assert 0 <= view.top <= view.resized_hw[0] - view.hw[0]
        assert 0 <= view.left <= view.resized_hw[1] - view.hw[1]
        assert max(view.hw) <= 32
        factors.append(view.resized_hw[1] / 32)
    assert min(factors) < 0.55
    assert max(factors) > 1.85
    assert 0.4 < np.mean(np.array(factors) < 1) < 0.6  # as often smaller as larger


def image_of(boxes, values, *, seed=0, **sizes):
    polygons = [[np.float32([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])] for x0, y0, x1, y1 in boxes]
    record = made_up_record(seed, hw=(32, 32), boxes=boxes, values=values, polygons=polygons)
    return pad_record(record, targets="all", **(SIZE | sizes))


def test_pasted_objects_hide_what_is_behind_them():
    sizes = {"max_objects": 5, "max_edges": 4}
    three = [(0, 0, 10, 10), (12, 0, 22, 10), (20, 20, 30, 30)]
    host = image_of(three, [1.0, 0.9, 0.8], **sizes)
    donor = image_of([(0, 4, 10, 14), (13, 0, 22, 10)], [0, 0], seed=7, **sizes)
    got = paste_objects(host, donor)
    # The second of the host has one column of ten left: lost. The first loses its lower part.
    boxes = [(0, 0, 10, 4), (20, 20, 30, 30), (0, 4, 10, 14), (13, 0, 22, 10)]
    np.testing.assert_array_equal(got["gt_boxes"][:4], np.float32(boxes))
    np.testing.assert_array_equal(got["gt_valid"], [True] * 4 + [False])
    assert (got["gt_rank_class"] == -1).all()
    for mask, (x0, y0, x1, y1) in zip(got["gt_masks"], boxes, strict=False):
        assert mask.sum() == (x1 - x0) * (y1 - y0)
        assert mask[y0:y1, x0:x1].all()
    np.testing.assert_array_equal(
        got["gt_edge_valid"].any(axis=1), [False, True, False, False, False]
    )
    pasted = got["gt_masks"][2:].any(axis=0)
    np.testing.assert_array_equal(got["image"][pasted], donor["image"][pasted])
    np.testing.assert_array_equal(got["image"][~pasted], host["image"][~pasted])


def test_no_more_is_pasted_than_there_is_room_for():
    host = image_of([(0, 0, 4, 4), (8, 0, 12, 4), (16, 0, 20, 4)], [1.0, 0.9, 0.8])
    donor = image_of([(0, 10, 20, 30), (24, 10, 30, 30)], [0, 0], seed=7)
    got = paste_objects(host, donor)
    np.testing.assert_array_equal(got["gt_boxes"][3], [0, 10, 20, 30])
    assert (got["image"][10:30, 24:30] == host["image"][10:30, 24:30]).all()
    full = image_of([(0, 0, 4, 4)] * 4, [1.0, 0.9, 0.8, 0.7])
    assert paste_objects(full, donor) is full


def test_colours_change_within_bounds_and_not_in_shape():
    image = np.full((8, 8, 3), 100, np.uint8)
    seen = [jitter_colour(np.random.default_rng(i), image, 0.2)[0, 0, 0] for i in range(200)]
    assert 78 <= min(seen) < 84
    assert 116 < max(seen) <= 122
    np.testing.assert_array_equal(jitter_colour(np.random.default_rng(0), image, 0.0), image)


def test_bounds_by_hand():
    masks = np.zeros((2, 6, 8), bool)
    masks[0, 2:4, 1:7] = True
    masks[1, 5, 0] = masks[1, 0, 7] = True
    np.testing.assert_array_equal(bounds(masks), [[1, 2, 7, 4], [0, 0, 8, 6]])


@pytest.mark.parametrize(
    ("field", "value"), [("scale", (1.0,)), ("scale", (2.0, 1.0)), ("colour", -0.1), ("paste", 2)]
)
def test_fields_are_checked(field, value):
    with pytest.raises(ValueError, match=rf"config\.data\.{field} is"):
        Augmentation(**{field: value})


def test_an_object_without_a_mask_is_hidden_but_never_pasted():
    boxes = [(0, 0, 10, 10), (20, 0, 30, 10)]
    host = image_of(boxes, [1.0, 0.9], max_objects=5)
    host["gt_has_mask"][:2] = False
    host["gt_masks"][:] = 0
    donor = image_of([(1, 0, 10, 10), (18, 0, 22, 10)], [0, 0], seed=1, max_objects=5)
    pasted = paste_objects(host, donor)
    # The first is covered by nine tenths and gone, the second keeps its box.
    assert pasted["gt_valid"].sum() == 3
    np.testing.assert_array_equal(pasted["gt_boxes"][0], boxes[1])
    assert pasted["gt_has_mask"].tolist() == [False, True, True, False, False]
    assert not pasted["gt_masks"][0].any()
    donor["gt_has_mask"][:] = False
    assert paste_objects(host, donor) is host
