import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.decode.ranks import assign_ranks, assign_ranks_expected, assign_ranks_reference
from sor_jax.structures import NO_RANK, NUM_RANKS

RULES = [assign_ranks, assign_ranks_expected, assign_ranks_reference]


def all_valid(logit):
    return jnp.ones(len(logit), bool)


def sequential(score, threshold):
    """Rank classes from scores [n, K], most salient class first."""
    classes = [NO_RANK] * len(score)
    for k in reversed(range(score.shape[1])):
        left = [n for n in range(len(score)) if classes[n] == NO_RANK]
        best = max(left, key=lambda n: score[n, k], default=None)  # of equals the first
        if best is not None and score[best, k] > threshold:
            classes[best] = k
    return classes


def softmax(logit, axis):
    power = np.exp(logit - logit.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


@pytest.mark.parametrize("n", [1, 3, 5, 12])
@pytest.mark.parametrize(("num_ranks", "seed"), [*((NUM_RANKS, s) for s in range(5)), (8, 0)])
def test_rules_match_loops(n, num_ranks, seed):
    logit = 3 * np.random.default_rng(seed).standard_normal((n, num_ranks))
    got = assign_ranks(jnp.asarray(logit), all_valid(logit))
    assert got.tolist() == sequential(softmax(logit, 1), 0.0)
    got = assign_ranks_reference(jnp.asarray(logit), all_valid(logit))
    assert got.tolist() == sequential(softmax(logit, 0), 0.1)
    got = assign_ranks_expected(jnp.asarray(logit), all_valid(logit))
    mean = softmax(logit, 1) @ np.arange(num_ranks)
    first = np.argsort(-mean)[:num_ranks]
    assert got[first].tolist() == [*range(num_ranks)][::-1][:n]
    assert (got >= 0).sum() == min(n, num_ranks)


def test_the_papers_rule_by_hand():
    # Class 4: region 1. Class 3: of regions 0 and 2 the second is surer. Class 2: region 0.
    prob = np.array([[0.1, 0.1, 0.1, 0.3, 0.4], [0.1, 0.1, 0.1, 0.1, 0.6], [0.2, 0.1, 0, 0.5, 0.2]])
    got = assign_ranks(jnp.log(prob + 1e-9), all_valid(prob))
    assert got.tolist() == [2, 4, 3]


def test_a_region_between_two_ranks_is_expected_before_a_low_one():
    # After region 0, region 2 is likelier to be second than region 1, which may also be first.
    prob = np.array([[0, 0, 0.1, 0.1, 0.8], [0, 0, 0.3, 0.3, 0.4], [0, 0, 0.6, 0.4, 0]])
    logit = jnp.log(prob + 1e-9)
    assert assign_ranks(logit, all_valid(prob)).tolist() == [4, 2, 3]
    assert assign_ranks_expected(logit, all_valid(prob)).tolist() == [4, 3, 2]


def test_scores_are_compared_as_probabilities_of_a_region():
    # The first has the larger logit of class 4, the second the larger probability.
    logit = jnp.array([[9.0, 9, 9, 9, 9], [0, 0, 0, 0, 5]])
    assert assign_ranks(logit, all_valid(logit)).tolist() == [3, 4]


def test_confident_regions_are_still_told_apart():
    logit = jnp.array([[0.0, 0, 0, 0, 30], [0, 0, 0, 0, 60], [0, 0, 0, 0, 45]])
    assert np.unique(jax.nn.softmax(logit)[:, 4]).size == 1
    # Of the two left, region 0 is likelier to be anything but first.
    assert assign_ranks(logit, all_valid(logit)).tolist() == [3, 4, 2]
    assert assign_ranks_expected(logit, all_valid(logit)).tolist() == [2, 4, 3]


def test_the_reference_leaves_a_rank_free():
    # Class 4 and the rest are spread evenly over eleven regions, below .1; class 2 is clear.
    logit = jnp.zeros((11, NUM_RANKS)).at[7, 2].set(9.0)
    got = assign_ranks_reference(logit, all_valid(logit))
    assert got.tolist() == [NO_RANK] * 7 + [2] + [NO_RANK] * 3
    assert sorted(assign_ranks(logit, all_valid(logit)).tolist())[-5:] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rule", RULES)
def test_equal_scores_go_to_the_first(rule):
    logit = jnp.zeros((3, NUM_RANKS))
    assert rule(logit, all_valid(logit)).tolist() == [4, 3, 2]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e4])
def test_padding_is_never_seen(rule, junk):
    logit = jnp.asarray(np.random.default_rng(0).standard_normal((7, NUM_RANKS)))
    padded = jnp.concatenate([jnp.full((3, NUM_RANKS), junk), logit])
    got = jax.jit(rule)(padded, jnp.arange(10) >= 3)
    assert got.tolist() == [NO_RANK] * 3 + rule(logit, all_valid(logit)).tolist()
    assert rule(padded, jnp.zeros(10, bool)).tolist() == [NO_RANK] * 10


@pytest.mark.parametrize("rule", RULES)
def test_a_batch_is_a_stack_of_images(rule):
    rng = np.random.default_rng(0)
    logit, valid = jnp.asarray(rng.standard_normal((4, 6, NUM_RANKS))), rng.random((4, 6)) < 0.7
    got = jax.vmap(rule)(logit, jnp.asarray(valid))
    for i in range(4):
        np.testing.assert_array_equal(got[i], rule(logit[i], jnp.asarray(valid[i])))


def test_a_score_at_the_threshold_gets_no_rank():
    """Two equal regions have a score of exactly one half for every rank."""
    logit, valid = jnp.zeros((2, NUM_RANKS)), jnp.ones(2, bool)
    at = assign_ranks_reference(logit, valid, threshold=0.5)
    assert at.tolist() == [NO_RANK, NO_RANK]
    below = assign_ranks_reference(logit, valid, threshold=np.nextafter(np.float32(0.5), 0))
    assert below.tolist() == [4, 3]
