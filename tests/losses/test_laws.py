"""What every loss keeps: padding, compaction, splitting, empty sets, extremes, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sor_jax.losses.dense import box_loss
from sor_jax.losses.reduce import SumCount, ratio
from sor_jax.structures import NO_RANK
from tests.losses.cases import CASES, numbers, value_and_gradient

every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def changed(case, **fields):
    """f32[2] and the gradient of a case of which some fields are others."""
    case = case._replace(**fields)
    return value_and_gradient(case.loss, case.pred, *case.rest, case.where)


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
    loss = case.loss(case.pred.astype(jnp.bfloat16), *case.rest, case.where)
    for part in (loss.total, loss.count, ratio(loss)):
        assert part.shape == ()
        assert part.dtype == jnp.float32


@every_loss
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_reaches_neither_value_nor_gradient(case, junk):
    expected, gradient = changed(case)
    rest = tuple(fill(x, case.where, junk) for x in case.rest)
    got, got_gradient = changed(case, pred=fill(case.pred, case.where, junk), rest=rest)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got_gradient, gradient)
    assert not gradient[~np.asarray(case.where)].any()
    assert gradient.any()


@every_loss
def test_masked_equals_compacted(case):
    rest = tuple(x[case.where] for x in case.rest)
    everywhere = jnp.ones(int(case.where.sum()), bool)
    compacted = case.loss(case.pred[case.where], *rest, everywhere)
    whole = case.loss(case.pred, *case.rest, case.where)
    np.testing.assert_allclose(numbers(whole), numbers(compacted), rtol=1e-6)


@every_loss
def test_sums_and_counts_of_the_images_add_up(case):
    whole = case.loss(case.pred, *case.rest, case.where)
    one, other = (
        case.loss(case.pred[i], *(x[i] for x in case.rest), case.where[i])
        for i in range(len(case.pred))
    )
    added = jax.tree.map(jnp.add, one, other)
    np.testing.assert_allclose(numbers(added), numbers(whole), rtol=1e-6)
    assert added.least == whole.least


@every_loss
def test_nothing_to_count_gives_zero_and_no_gradient(case):
    nothing = jnp.zeros_like(case.where)
    sum_count, gradient = changed(case, where=nothing)
    assert sum_count.tolist() == [0, 0]
    assert not gradient.any()
    assert ratio(case.loss(case.pred, *case.rest, nothing)) == 0


@every_loss
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_extreme_predictions_stay_finite(case, size):
    if case is CASES["box"]:
        size = abs(size)  # distances are not negative
    sum_count, gradient = changed(case, pred=jnp.full_like(case.pred, size))
    assert np.isfinite(sum_count).all()
    assert np.isfinite(gradient).all()


@every_loss
def test_gradients_match_differences(case):
    def total(pred):
        return case.loss(pred, *case.rest, case.where).total

    check_grads(total, (case.pred,), order=1, modes=["rev"], atol=1e-2, rtol=1e-2, eps=1e-2)


def test_ratio_by_hand():
    assert ratio(SumCount(jnp.float32(6), jnp.float32(4))) == 1.5
    small = SumCount(jnp.float32(0.5), jnp.float32(0.25))
    assert ratio(small) == 0.5
    assert ratio(small.replace(least=1e-6)) == 2


def test_one_point_of_little_weight_has_its_whole_box_loss():
    """Its count is its weight; beside two images with nothing, too."""
    ltrb = jnp.array([[[1.0, 1, 1, 1]], [[3.0, 3, 3, 3]], [[3.0, 3, 3, 3]]])
    weight, where = jnp.array([[0.01], [1.0], [1.0]]), jnp.array([[True], [False], [False]])
    parts = [box_loss(ltrb[i], 2 * ltrb[i], weight[i], where[i]) for i in range(3)]
    whole = jax.tree.map(lambda *leaves: sum(leaves), *parts)
    np.testing.assert_allclose(ratio(whole), 1 - 5 / 17, rtol=1e-5)  # 4 of 16, 1 joins both


def test_the_least_count_of_parts_is_that_of_the_whole():
    part = SumCount(jnp.float32(3), jnp.float32(0.5), least=4.0)
    assert ratio(jax.tree.map(jnp.add, part, part)) == 6 / 4


def test_objects_without_a_rank_reach_no_rank_loss():
    case = CASES["rank"]
    (rank_class,) = case.rest
    unknown = jnp.arange(rank_class.size).reshape(rank_class.shape) % 3 == 0
    assert (unknown & case.where).any()
    got = changed(case, rest=(jnp.where(unknown, NO_RANK, rank_class),))
    expected = changed(case, where=case.where & ~unknown)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    sum_count, gradient = changed(case, rest=(jnp.full_like(rank_class, NO_RANK),))
    assert sum_count.tolist() == [0, 0]
    assert not gradient.any()
