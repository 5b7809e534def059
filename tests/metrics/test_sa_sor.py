"""SA-SOR: matching and correlation on worked examples."""

import numpy as np
import pytest

from sor_jax.metrics.sa_sor import match_by_iou, mean_defined, sa_sor_image
from sor_jax.metrics.sor import ascending_ranks


def test_places_are_shared_by_equal_values():
    assert ascending_ranks(np.array([0.3, 0.9, 0.3, 0.1])).tolist() == [2, 4, 2, 1]
    assert ascending_ranks(np.zeros(0)).tolist() == []


def test_each_object_takes_its_best_prediction_at_half_or_more():
    iou = np.array([[0.5, 0.2], [0.1, 0.49]])
    assert match_by_iou(iou).tolist() == [0, -1]


def test_one_prediction_serves_the_object_of_highest_iou():
    iou = np.array([[0.6, 0.0], [0.8, 0.7], [0.7, 0.0]])
    assert match_by_iou(iou).tolist() == [-1, 0, -1]
    iou = np.array([[0.8], [0.6], [0.8]])
    assert match_by_iou(iou).tolist() == [-1, -1, 0]  # equal: the last


def test_equal_predictions_the_first_is_taken():
    assert match_by_iou(np.array([[0.2, 0.7, 0.7]])).tolist() == [1]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_matching_without_objects_or_predictions(shape):
    assert match_by_iou(np.zeros(shape)).tolist() == [-1] * shape[0]


def test_all_matched_in_order_and_reversed():
    own = np.array([1.0, 0.9, 0.8])
    assert sa_sor_image(np.eye(3), np.array([4, 3, 2]), own) == pytest.approx(1)
    assert sa_sor_image(np.eye(3), np.array([2, 3, 4]), own) == pytest.approx(-1)


def test_places_among_all_predictions_only_when_these_outnumber_the_objects():
    iou = np.zeros((3, 4))
    iou[0, 0] = iou[1, 1] = 1
    scores, own = np.array([0.9, 0.1, 0.5, 0.4]), np.array([1.0, 0.9, 0.8])
    # Four predictions: places 4 and 1 of four; the third object has 0.
    assert sa_sor_image(iou, scores, own) == pytest.approx(np.corrcoef([4, 1, 0], [3, 2, 1])[0, 1])
    # Three predictions: places 2 and 1 of the two taken.
    assert sa_sor_image(iou[:, :3], scores[:3], own) == pytest.approx(
        np.corrcoef([2, 1, 0], [3, 2, 1])[0, 1]
    )


def test_nothing_predicted_counts_zero_and_undefined_images_are_left_out():
    own = np.array([1.0, 0.9])
    assert sa_sor_image(np.zeros((2, 0)), np.zeros(0), own) == 0
    assert sa_sor_image(np.eye(2), np.array([1, 1]), own) == 0
    assert sa_sor_image(np.eye(2), np.array([2, 1]), np.ones(2)) is None
    assert sa_sor_image(np.ones((1, 1)), np.ones(1), np.ones(1)) is None
    assert sa_sor_image(np.zeros((0, 2)), np.ones(2), np.zeros(0)) is None


def test_mean_defined_skips_undefined_images():
    assert mean_defined([0.5, None, 0.0]) == 0.25
    assert mean_defined([None]) is None
