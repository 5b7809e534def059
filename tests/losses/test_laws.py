"""What every loss keeps: padding, compaction, splitting, empty sets, extremes, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sor_jax.losses.reduce import ratio
from sor_jax.structures import NO_RANK
from tests.losses.cases import CASES

every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def value_and_gradient(case, pred=None, rest=None, where=None):
    """(sum, count) and the gradient of the divided loss with respect to the prediction."""
    pred = case.pred if pred is None else pred
    rest = case.rest if rest is None else rest
    where = case.where if where is None else where

    def divided(pred):
        sum_count = case.loss(pred, *rest, where)
        return ratio(sum_count), sum_count

    gradient, sum_count = jax.grad(divided, has_aux=True)(pred)
    return np.asarray(sum_count), np.asarray(gradient)


def fill(x, where, junk):
    """x with junk outside `where`."""
    where = where.reshape(where.shape + (1,) * (x.ndim - where.ndim))
    if x.dtype == bool:
        return jnp.where(where, x, True)
    if jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.where(where, x, -99)
    return jnp.where(where, x, junk)


@every_loss
def test_results_are_float32_scalars(case):
    for part in case.loss(case.pred.astype(jnp.bfloat16), *case.rest, case.where):
        assert part.shape == ()
        assert part.dtype == jnp.float32


@every_loss
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_reaches_neither_value_nor_gradient(case, junk):
    expected, gradient = value_and_gradient(case)
    rest = tuple(fill(x, case.where, junk) for x in case.rest)
    got, got_gradient = value_and_gradient(case, fill(case.pred, case.where, junk), rest)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got_gradient, gradient)
    assert not gradient[~np.asarray(case.where)].any()
    assert gradient.any()


@every_loss
def test_masked_equals_compacted(case):
    rest = tuple(x[case.where] for x in case.rest)
    everywhere = jnp.ones(int(case.where.sum()), bool)
    compacted = case.loss(case.pred[case.where], *rest, everywhere)
    np.testing.assert_allclose(case.loss(case.pred, *case.rest, case.where), compacted, rtol=1e-6)


@every_loss
def test_sums_and_counts_of_the_images_add_up(case):
    whole = case.loss(case.pred, *case.rest, case.where)
    split = [
        case.loss(case.pred[i], *(x[i] for x in case.rest), case.where[i])
        for i in range(len(case.pred))
    ]
    np.testing.assert_allclose(whole, np.sum(split, axis=0), rtol=1e-6)


@every_loss
def test_nothing_to_count_gives_zero_and_no_gradient(case):
    nothing = jnp.zeros_like(case.where)
    sum_count, gradient = value_and_gradient(case, where=nothing)
    assert sum_count.tolist() == [0, 0]
    assert not gradient.any()
    assert ratio(sum_count) == 0


@every_loss
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_extreme_predictions_stay_finite(case, size):
    if case is CASES["box"]:
        size = abs(size)  # distances are not negative
    sum_count, gradient = value_and_gradient(case, jnp.full_like(case.pred, size))
    assert np.isfinite(sum_count).all()
    assert np.isfinite(gradient).all()


@every_loss
def test_gradients_match_differences(case):
    def total(pred):
        return case.loss(pred, *case.rest, case.where)[0]

    check_grads(total, (case.pred,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2, eps=1e-2)


def test_ratio_by_hand():
    assert ratio((jnp.float32(6), jnp.float32(4))) == 1.5
    assert ratio((jnp.float32(0.5), jnp.float32(0.25))) == 0.5
    assert ratio((jnp.float32(0.5), jnp.float32(0.25)), at_least=1e-6) == 2


def test_objects_without_a_rank_reach_no_rank_loss():
    case = CASES["rank"]
    (rank_class,) = case.rest
    unknown = jnp.arange(rank_class.size).reshape(rank_class.shape) % 3 == 0
    assert (unknown & case.where).any()
    got = value_and_gradient(case, rest=(jnp.where(unknown, NO_RANK, rank_class),))
    expected = value_and_gradient(case, where=case.where & ~unknown)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    sum_count, gradient = value_and_gradient(case, rest=(jnp.full_like(rank_class, NO_RANK),))
    assert sum_count.tolist() == [0, 0]
    assert not gradient.any()
