"""SOR and rank maps against worked examples and naive loops."""

import numpy as np
import pytest
import scipy.stats

from sor_jax.metrics.sor import (
    matched_values,
    mean_ranks,
    pearson,
    rank_map,
    sor_image,
    sor_summary,
)


def boxes_to_masks(boxes, hw=(12, 16)):
    """bool[n, h, w] from x0 y0 x1 y1."""
    masks = np.zeros((len(boxes), *hw), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


THREE = boxes_to_masks([(0, 0, 6, 6), (8, 0, 12, 4), (0, 8, 4, 12)])


def test_rank_map_paints_the_five_greys():
    masks = boxes_to_masks([(2 * i, 0, 2 * i + 2, 2) for i in range(5)])
    painted = rank_map(masks, np.array([4, 3, 2, 1, 0]))
    assert painted[0, 0:10:2].tolist() == [255, 229, 204, 178, 153]
    assert painted.dtype == np.uint8
    assert not painted[2:].any()


def test_rank_map_puts_smaller_objects_on_top_whatever_their_order():
    masks = boxes_to_masks([(2, 2, 4, 4), (0, 0, 8, 8), (1, 1, 6, 6)])
    painted = rank_map(masks, np.array([0, 4, 2]))
    assert painted[[3, 5, 7], [3, 5, 7]].tolist() == [153, 204, 255]
    order = [2, 0, 1]
    np.testing.assert_array_equal(rank_map(masks[order], np.array([2, 0, 4])), painted)


def test_rank_map_leaves_out_objects_without_a_rank():
    painted = rank_map(THREE, np.array([-1, 4, -1]))
    np.testing.assert_array_equal(painted > 0, THREE[1])


def test_rank_map_of_nothing_is_black():
    painted = rank_map(np.zeros((0, 5, 7), bool), np.zeros(0, int))
    assert painted.shape == (5, 7)
    assert not painted.any()


def naive_value(pred_map, mask):
    """Most frequent non-zero grey when more than int(half) of the pixels are non-zero."""
    inside = [int(v) for v, m in zip(pred_map.ravel(), mask.ravel(), strict=True) if m]
    lit = [v for v in inside if v]
    if len(lit) <= int(0.5 * len(inside)):
        return None
    return min(set(lit), key=lambda v: (-lit.count(v), v))


@pytest.mark.parametrize("seed", range(6))
def test_matched_values_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    pred_map = rng.choice(np.array([0, 0, 153, 178, 204], np.uint8), (12, 16))
    masks = rng.random((8, 12, 16)) < rng.random((8, 1, 1)) * 0.1
    masks[0] = False
    assert matched_values(pred_map, masks) == [naive_value(pred_map, mask) for mask in masks]


def test_an_object_needs_more_than_half_of_its_pixels():
    mask = boxes_to_masks([(0, 0, 4, 1)])
    pred_map = np.zeros((12, 16), np.uint8)
    pred_map[0, :2] = 255
    assert matched_values(pred_map, mask) == [None]
    pred_map[0, 2] = 153
    assert matched_values(pred_map, mask) == [255]
    pred_map[0, 3] = 153
    assert matched_values(pred_map, mask) == [153]  # two of each: the smaller


def test_sor_image_of_right_reversed_and_swapped_orders():
    own = np.array([1.0, 0.9, 0.8])
    assert sor_image(rank_map(THREE, np.array([4, 3, 2])), THREE, own) == (pytest.approx(1), 3)
    assert sor_image(rank_map(THREE, np.array([0, 3, 4])), THREE, own) == (pytest.approx(-1), 3)
    # One swap of neighbours: 1 - 6 * 2 / (3 * 8) = 0.5.
    assert sor_image(rank_map(THREE, np.array([3, 4, 2])), THREE, own) == (pytest.approx(0.5), 3)


def test_sor_image_counts_one_matched_object_as_right():
    pred_map = rank_map(THREE[:1], np.array([0]))
    assert sor_image(pred_map, THREE, np.array([1.0, 0.9, 0.8])) == (1.0, 1)


def test_sor_image_is_undefined_without_order():
    black = np.zeros((12, 16), np.uint8)
    assert sor_image(black, THREE, np.array([1.0, 0.9, 0.8])) == (None, 0)
    assert sor_image(black, THREE[:0], np.zeros(0)) == (None, 0)
    equal = rank_map(THREE, np.array([4, 4, 4]))
    assert sor_image(equal, THREE, np.array([1.0, 0.9, 0.8])) == (None, 3)
    assert sor_image(rank_map(THREE, np.array([4, 3, 2])), THREE, np.ones(3)) == (None, 3)


@pytest.mark.parametrize("seed", range(5))
def test_rho_with_ties_against_scipy(seed):
    rng = np.random.default_rng(seed)
    masks = boxes_to_masks([(2 * i, 0, 2 * i + 2, 2) for i in range(7)])
    pred_class, own = rng.integers(0, 4, 7), rng.integers(0, 4, 7) / 10
    rho, matched = sor_image(rank_map(masks, pred_class), masks, own)
    assert matched == 7
    assert rho == pytest.approx(scipy.stats.spearmanr(pred_class, own).statistic, abs=1e-12)


def test_pearson_against_numpy_and_constant_sides():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert pearson(a, np.ones(9)) is None
    assert pearson(np.zeros(0), np.zeros(0)) is None


def test_summary_keeps_sor_and_sor_multi_apart():
    summary = sor_summary([1.0, 0.0, None, None, -0.5], [1, 3, 0, 2, 2], [4, 3, 2, 2, 5])
    assert summary == {
        "sor": pytest.approx((0.5 / 3 + 1) / 2),
        "images_used": 3,
        "images": 5,
        "sor_multi": pytest.approx((-0.25 + 1) / 2),
        "multi_images": 2,
        "objects_matched": 8,
        "objects": 16,
    }


def test_summary_of_nothing_has_no_sor():
    summary = sor_summary([None, None], [0, 0], [3, 0])
    assert summary["sor"] is None
    assert summary["sor_multi"] is None
    assert (summary["images_used"], summary["images"], summary["objects"]) == (0, 2, 3)


def test_of_eight_ranks_a_place_is_worth_a_sixteenth():
    masks = boxes_to_masks([(2 * i, 0, 2 * i + 2, 2) for i in range(8)])
    painted = rank_map(masks, 7 - np.arange(8), 8)
    values = [1, 0.9375, 0.875, 0.8125, 0.75, 0.6875, 0.625, 0.5625]
    assert painted[0, ::2].tolist() == [int(255 * value) for value in values]
    assert sor_image(painted, masks, np.array(values)) == (pytest.approx(1), 8)
    assert sor_image(painted, masks[::-1], np.array(values)) == (pytest.approx(-1), 8)


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 1.0, 2.0, 2.0, -5.0], [0.1, 0.1], range(9)])
def test_mean_ranks_are_scipys(values):
    values = np.array(values, float)
    np.testing.assert_array_equal(mean_ranks(values), scipy.stats.rankdata(values))
