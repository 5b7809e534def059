import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops import boxes
from tests import naive


def test_iou_matches_loops():
    rng = np.random.default_rng(0)
    a, b = naive.random_boxes(rng, 30), naive.random_boxes(rng, 20)
    expected = [[naive.iou(p, q) for q in b] for p in a]
    np.testing.assert_allclose(boxes.iou_matrix(a, b), expected, rtol=1e-6)


def test_iou_by_hand():
    a = np.array([[0, 0, 2, 2]], np.float32)
    b = np.array([[1, 0, 3, 2], [2, 0, 4, 2], [0, 0, 2, 2], [0.5, 0.5, 1.5, 1.5]], np.float32)
    np.testing.assert_allclose(boxes.iou_matrix(a, b), [[1 / 3, 0, 1, 1 / 4]], rtol=1e-6)


@pytest.mark.parametrize("empty", [(1, 1, 1, 1), (1, 0, 1, 2), (2, 2, 1, 1)])
def test_empty_boxes_have_no_area_and_overlap_with_nothing(empty):
    box = np.array([empty], np.float32)
    whole = np.array([[0, 0, 2, 2]], np.float32)
    assert boxes.is_empty(box)[0]
    assert not boxes.is_empty(whole)[0]
    assert boxes.area(box)[0] == 0
    np.testing.assert_array_equal(boxes.iou_matrix(box, np.concatenate([box, whole])), [[0, 0]])


def test_clip_cuts_at_the_photograph_and_empties_what_lies_outside():
    xyxy = np.array([[-5, -6, 3, 4], [10, 20, 99, 98], [60, 5, 70, 9]], np.float32)
    clipped = boxes.clip(xyxy, jnp.array([30, 50]))
    np.testing.assert_array_equal(clipped, [[0, 0, 3, 4], [10, 20, 50, 30], [50, 5, 50, 9]])
    np.testing.assert_array_equal(boxes.is_empty(clipped), [False, False, True])


def test_distances_round_trip_and_sign():
    xyxy = np.array([[1, 2, 7, 12]], np.float32)
    xy = np.array([[3, 4], [1, 5], [8, 5]], np.float32)
    ltrb = boxes.distances(xy, xyxy)
    np.testing.assert_array_equal(ltrb, [[2, 2, 4, 8], [0, 3, 6, 7], [7, 3, -1, 7]])
    np.testing.assert_array_equal(boxes.from_distances(xy, ltrb), np.repeat(xyxy, 3, axis=0))
