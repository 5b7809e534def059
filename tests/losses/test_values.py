"""Each loss against its formula, written out in plain Python for one element at a time."""

from math import exp, log

import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.losses import dense, masks, ranking
from tests.losses.cases import CASES, numbers


def sigmoid(x):
    return 1 / (1 + exp(-x))


def cross_entropy(logit, target):
    p = sigmoid(logit)
    return -target * log(p) - (1 - target) * log(1 - p)


def focal(logit, positive):
    p, alpha = (sigmoid(logit), 0.25) if positive else (sigmoid(-logit), 0.75)
    return -alpha * (1 - p) ** 2 * log(p)


def giou(a, b):
    """The loss of two boxes l t r b around the origin."""
    area = [(left + right) * (top + bottom) for left, top, right, bottom in (a, b)]
    low, high = np.minimum(a, b), np.maximum(a, b)
    inner, hull = ((x[0] + x[2]) * (x[1] + x[3]) for x in (low, high))
    union = sum(area) - inner
    return 1 - (inner + 1) / (union + 1) + (hull - union) / hull


def elements(name):
    """(prediction, *targets) of every element that counts, as float64."""
    case = CASES[name]
    where = np.asarray(case.where)
    columns = [np.asarray(x, np.float64)[where] for x in (case.pred, *case.rest)]
    return list(zip(*columns, strict=True))


def assert_sum_count(name, total, count):
    case = CASES[name]
    got = case.loss(case.pred, *case.rest, case.where)
    np.testing.assert_allclose(numbers(got), [total, count], rtol=1e-5)


def test_focal():
    chosen = elements("focal")
    assert_sum_count("focal", sum(focal(*e) for e in chosen), sum(e[1] for e in chosen))


def test_box():
    chosen = elements("box")
    total = sum(weight * giou(a, b) for a, b, weight in chosen)
    assert_sum_count("box", total, sum(e[2] for e in chosen))


def test_centerness():
    chosen = elements("centerness")
    assert_sum_count("centerness", sum(cross_entropy(*e) for e in chosen), len(chosen))


def test_mask():
    chosen = elements("mask")
    total = sum(
        np.mean([cross_entropy(*cell) for cell in zip(a.flat, b.flat, strict=True)])
        for a, b in chosen
    )
    assert_sum_count("mask", total, len(chosen))


def test_mask_iou_counts_only_targets_above_zero():
    chosen = elements("mask_iou")
    counted = [(pred - target) ** 2 / 2 for pred, target in chosen if target > 0]
    assert 0 < len(counted) < len(chosen)
    assert_sum_count("mask_iou", sum(counted), len(counted))


def test_rank():
    chosen = elements("rank")
    total = sum(log(sum(map(exp, logit))) - logit[int(target)] for logit, target in chosen)
    assert_sum_count("rank", total, len(chosen))


def test_objectness():
    chosen = elements("objectness")
    assert_sum_count("objectness", sum(cross_entropy(*e) for e in chosen), len(chosen))


def test_offset():
    chosen = elements("offset")
    assert_sum_count("offset", sum(np.abs(a - b).sum() for a, b in chosen), len(chosen))


def test_region_class():
    chosen = elements("region_class")
    total = sum(log(sum(map(exp, logit))) - logit[0 if found else 1] for logit, found in chosen)
    assert_sum_count("region_class", total, len(chosen))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1), 0.0),
        ((0, 0, 1, 1), (1, 1, 0, 0), 1 - 1 / 3 + 2 / 4),  # they touch in the point: I 0, U 2, C 4
        ((0, 0, 0, 0), (1, 1, 1, 1), 1 - 1 / 5),  # a box without area inside one of 4
        ((0.5, 1, 0.5, 1), (1, 1, 1, 1), 1 - 3 / 5),
    ],
)
def test_giou_by_hand(a, b, expected):
    loss = dense.giou_loss(jnp.array(a, jnp.float32), jnp.array(b, jnp.float32))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_focal_by_hand():
    # p = 1/2 everywhere: .25 or .75 times 1/4 times log 2; one positive.
    where = jnp.array([True, True, True, False])
    got = dense.focal_loss(jnp.zeros(4), jnp.array([True, False, False, True]), where)
    np.testing.assert_allclose(numbers(got), [(0.25 + 0.75 + 0.75) / 4 * log(2), 1], rtol=1e-6)


def test_a_sure_right_answer_costs_nothing_and_a_sure_wrong_one_its_logit():
    where, logit = jnp.array([True]), jnp.array([[0.0, 0, 0, 0, 1e4]])
    assert ranking.rank_loss(logit, jnp.array([4]), where).total == 0
    assert ranking.rank_loss(logit, jnp.array([0]), where).total == 1e4
    logit = jnp.full((1, 2, 2), 1e4)
    assert masks.mask_loss(logit, jnp.ones((1, 2, 2)), where).total == 0
    assert masks.mask_loss(logit, jnp.zeros((1, 2, 2)), where).total == 1e4
    assert dense.focal_loss(logit[0, 0, :1], where, where).total == 0
    np.testing.assert_allclose(dense.focal_loss(logit[0, 0, :1], ~where, where).total, 7500)
