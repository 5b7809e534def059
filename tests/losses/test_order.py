"""The rank losses that see the order of an image's regions alone."""

from math import exp, log

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from sor_jax.losses.ranking import listmle_loss, pairwise_loss
from sor_jax.structures import NO_RANK
from tests.losses.cases import numbers, value_and_gradient

both = pytest.mark.parametrize("loss", [pairwise_loss, listmle_loss])


def case():
    rng = np.random.default_rng(0)
    logit = 2 * rng.standard_normal((3, 7, 5)).astype(np.float32)
    rank_class = rng.integers(-1, 5, (3, 7))
    where = rng.random((3, 7)) < 0.7
    return jnp.asarray(logit), jnp.asarray(rank_class), jnp.asarray(where)


def images(logit, rank_class, where):
    """[(score, class) of the regions that count] of each image."""
    for one in zip(*(np.asarray(x, np.float64) for x in (logit, rank_class, where)), strict=True):
        found = []
        for z, rank, counts in zip(*one, strict=True):
            if counts and rank != NO_RANK:
                share = np.exp(z) / np.exp(z).sum()
                found.append((sum(k * p for k, p in enumerate(share)), rank))
        yield found


def test_pairwise_by_a_loop():
    total = count = 0
    for found in images(*case()):
        for a, above in found:
            for b, below in found:
                if above > below:
                    total, count = total + log(1 + exp(b - a)), count + 1
    assert count > 5
    np.testing.assert_allclose(numbers(pairwise_loss(*case())), [total, count], rtol=1e-5)


def test_listmle_by_a_loop():
    total = count = 0
    for found in images(*case()):
        for a, rank in found:
            lower = [b for b, below in found if below < rank]
            if lower:
                total, count = total + log(exp(a) + sum(map(exp, lower))) - a, count + 1
    assert count > 5
    np.testing.assert_allclose(numbers(listmle_loss(*case())), [total, count], rtol=1e-5)


def test_without_ties_listmle_is_the_likelihood_of_the_permutation():
    logit = case()[0][:1, :5]
    rank_class = jnp.array([[2, 4, 0, 3, 1]])
    (found,) = images(logit, rank_class, jnp.ones((1, 5)))
    strength = [exp(score) for score, _ in sorted(found, key=lambda item: -item[1])]
    likelihood = np.prod([strength[i] / sum(strength[i:]) for i in range(5)])
    got = listmle_loss(logit, rank_class, jnp.ones((1, 5), bool))
    np.testing.assert_allclose(numbers(got), [-log(likelihood), 4], rtol=1e-5)


@both
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e30])
def test_neither_padding_nor_objects_without_a_rank_reach_value_or_gradient(loss, junk):
    logit, rank_class, where = case()
    expected, gradient = value_and_gradient(loss, logit, rank_class, where)
    counts = where & (rank_class != NO_RANK)
    logit = jnp.where(counts[..., None], logit, junk)
    got, got_gradient = value_and_gradient(loss, logit, jnp.where(where, rank_class, 3), where)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got_gradient, gradient)
    assert not gradient[~np.asarray(counts)].any()
    assert gradient.any()


@both
def test_masked_equals_compacted_and_images_add_up(loss):
    logit, rank_class, where = case()
    parts = []
    for z, rank, counts in zip(logit, rank_class, where, strict=True):
        kept = np.flatnonzero(counts & (rank != NO_RANK))
        parts.append(numbers(loss(z[kept], rank[kept], jnp.ones(len(kept), bool))))
    whole = numbers(loss(logit, rank_class, where))
    np.testing.assert_allclose(whole, np.sum(parts, axis=0), rtol=1e-5)


@both
def test_order_of_the_regions_does_not_matter_and_equal_ranks_are_no_order(loss):
    logit, rank_class, where = case()
    shuffled = np.random.default_rng(1).permutation(7)
    got = loss(logit[:, shuffled], rank_class[:, shuffled], where[:, shuffled])
    np.testing.assert_allclose(numbers(got), numbers(loss(logit, rank_class, where)), rtol=1e-5)
    nothing, gradient = value_and_gradient(loss, logit, jnp.full_like(rank_class, 2), where)
    assert nothing.tolist() == [0, 0]
    assert not gradient.any()


@both
@pytest.mark.parametrize("size", [1e4, -1e4, 0.0])
def test_extreme_predictions_stay_finite(loss, size):
    logit, rank_class, where = case()
    extreme = size * jnp.eye(5)[jnp.arange(7) % 5] * jnp.ones((3, 1, 1))
    sum_count, gradient = value_and_gradient(loss, extreme, rank_class, where)
    assert np.isfinite(sum_count).all()
    assert np.isfinite(gradient).all()


@both
def test_gradients_match_differences(loss):
    logit, rank_class, where = case()
    check_grads(
        lambda z: loss(z, rank_class, where).total,
        (logit,),
        1,
        ["rev"],
        atol=2e-2,
        rtol=2e-2,
        eps=1e-2,
    )
