"""MAE, F-measure and nDCG on worked examples."""

import numpy as np
import pytest

from sor_jax.metrics.maps import f_measure_image, mae_image, ndcg_image, painted_ranks

HALVES = np.zeros((2, 4, 8), bool)
HALVES[0, :, :4] = HALVES[1, :2, 4:] = True  # 16 and 8 of 32 pixels
TWO = np.array([1.0, 0.9])


def test_mae_of_bytes_does_not_wrap():
    low, high = np.full((2, 2), 10, np.uint8), np.full((2, 2), 250, np.uint8)
    assert mae_image(low, high) == mae_image(high, low) == pytest.approx(240 / 255)
    high[0] = 10
    assert mae_image(low, high) == pytest.approx(120 / 255)


def test_mae_says_which_sizes_differ():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        mae_image(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_painted_ranks_in_list_order():
    masks = np.ones((2, 1, 2), bool)
    masks[1, 0, 1] = False
    assert painted_ranks(masks, TWO).tolist() == [[1, 2]]
    assert painted_ranks(masks[:0], TWO[:0]).tolist() == [[0, 0]]


def test_f_measure_of_the_truth_is_one():
    assert f_measure_image(HALVES, TWO, HALVES, TWO) == pytest.approx(1)


def test_f_measure_worked_by_hand():
    # Truth: levels 0, 1/2 (8 pixels), 1 (16). One prediction covers the upper half at level 1:
    # band (0, 1/2] is empty -> 0; band (1/2, 1]: 16 predicted, 8 hit of 16.
    upper = np.zeros((1, 4, 8), bool)
    upper[0, :2] = True
    precision, recall = 8 / 16, 8 / 16
    f = 1.3 * precision * recall / (0.3 * precision + recall)
    assert f_measure_image(upper, np.ones(1), HALVES, TWO) == pytest.approx((0 + f) / 2)


def test_f_measure_without_predictions_or_without_levels():
    assert f_measure_image(HALVES[:0], TWO[:0], HALVES, TWO) == 0
    assert f_measure_image(HALVES, TWO, HALVES[:0], TWO[:0]) is None
    everywhere = np.ones((1, 4, 8), bool)
    assert f_measure_image(HALVES, TWO, everywhere, np.ones(1)) is None


def loop_f_measure(pred_masks, pred_scores, masks, own_values):
    """The same over painted float maps and sets of pixels."""

    def paint(these, values):
        painted = np.zeros(masks.shape[1:])
        for mask, value in zip(these, values, strict=True):
            painted[mask] = (1 + sum(other < value for other in values)) / len(values)
        return painted

    pred, true = paint(pred_masks, pred_scores), paint(masks, own_values)
    levels, scores = sorted(set(true.ravel().tolist())), []
    for low, high in zip(levels[:-1], levels[1:], strict=True):
        a = {i for i, v in enumerate(pred.ravel()) if low < v <= high}
        b = {i for i, v in enumerate(true.ravel()) if low < v <= high}
        if not a & b:
            scores.append(0.0)
            continue
        precision, recall = len(a & b) / len(a), len(a & b) / len(b)
        scores.append(1.3 * precision * recall / (0.3 * precision + recall))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(5))
def test_f_measure_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    masks, pred_masks = rng.random((4, 6, 9)) < 0.3, rng.random((6, 6, 9)) < 0.3
    own, scores = rng.integers(0, 3, 4), rng.integers(0, 5, 6)
    assert f_measure_image(pred_masks, scores, masks, own) == pytest.approx(
        loop_f_measure(pred_masks, scores, masks, own)
    )


def test_ndcg_of_the_truth_is_one():
    pred_map = np.where(HALVES[0], 255, 0) + np.where(HALVES[1], 229, 0)
    assert ndcg_image(pred_map, HALVES, np.array([5, 4])) == pytest.approx((1, 1))


def test_ndcg_worked_by_hand():
    # Swapped: both take the other's score, gains 4 and 4 of 5.
    pred_map = np.where(HALVES[0], 178, 0) + np.where(HALVES[1], 229, 0)
    linear, exponential = ndcg_image(pred_map, HALVES, np.array([5, 4]))
    assert linear == pytest.approx(4 / 5)
    assert exponential == pytest.approx((2**4 - 1) / (2**5 - 1))
    # Nothing on the first: it takes 0, gain 0; the second takes 5 instead of 4.
    discount = 1 / np.log2(3)
    linear, _ = ndcg_image(np.where(HALVES[1], 229, 0), HALVES, np.array([5, 4]))
    assert linear == pytest.approx(4 * discount / (5 * (1 + discount)))


def test_ndcg_of_equal_values_favours_the_later_object():
    flat = np.full((4, 8), 7)
    assert ndcg_image(flat, HALVES, np.array([4, 5]))[0] == pytest.approx(1)
    assert ndcg_image(flat, HALVES, np.array([5, 4]))[0] == pytest.approx(4 / 5)


def test_ndcg_of_an_image_without_objects_and_of_an_empty_mask():
    assert ndcg_image(np.zeros((4, 8)), HALVES[:0], np.zeros(0, int)) is None
    empty = HALVES & False
    assert ndcg_image(np.full((4, 8), 9), empty, np.array([5, 4]))[0] < 1


def test_ndcg_of_eight_ranks_gives_eight_points_to_the_first():
    masks = np.eye(8, dtype=bool).reshape(8, 1, 8)
    own = np.arange(8, 0, -1)
    right = np.arange(80, 0, -10, np.uint8)[None]
    assert ndcg_image(right, masks, own, 8) == (pytest.approx(1), pytest.approx(1))
    # Only the first object is seen: it gains 8, the others 8 - own.
    first = np.where(np.arange(8) == 0, 80, 0).astype(np.uint8)[None]
    gain, discount = np.array([8, 1, 2, 3, 4, 5, 6, 7]), 1 / np.log2(np.arange(8) + 2)
    expected = gain @ discount / (8 * discount.sum())
    assert ndcg_image(first, masks, own, 8)[0] == pytest.approx(expected)
