from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.nms import nms, suppress
from tests import naive


def keep(xyxy, score, valid=None, *, threshold=0.5, max_outputs=None):
    """Indices that `nms` keeps, as a list."""
    valid = np.ones(len(xyxy), bool) if valid is None else valid
    run = partial(nms, threshold=threshold, max_outputs=max_outputs or len(xyxy))
    index, found = jax.jit(run)(np.asarray(xyxy, np.float32), np.asarray(score), valid)
    count = int(found.sum())
    assert found[:count].all(), "kept boxes must stand first"
    assert not index[count:].any(), "unused slots must hold index 0"
    return index[:count].tolist()


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_matches_the_greedy_loop(threshold, seed):
    rng = np.random.default_rng(seed)
    xyxy = naive.jittered(rng, naive.random_boxes(rng, 10), 8)
    score = rng.integers(0, 40, 80).astype(np.float32)  # with many ties
    expected = naive.greedy_nms(xyxy, score, threshold)
    assert 1 < len(expected) < 80
    assert keep(xyxy, score, threshold=threshold) == expected
    assert keep(xyxy, score, threshold=threshold, max_outputs=5) == expected[:5]


def test_a_suppressed_box_suppresses_nothing():
    chain = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]  # A overlaps B, B overlaps C
    assert keep(chain, [0.9, 0.8, 0.7], threshold=0.3) == [0, 2]


def test_overlap_at_the_threshold_is_kept():
    nested = [[0, 0, 2, 2], [0, 0, 2, 1]]  # IoU is exactly one half
    assert keep(nested, [0.9, 0.8], threshold=0.5) == [0, 1]
    assert keep(nested, [0.9, 0.8], threshold=0.49) == [0]


def test_equal_scores_keep_the_first():
    assert keep([[0, 0, 4, 4]] * 3, [0.5] * 3) == [0]
    assert keep([[0, 0, 4, 4], [8, 8, 9, 9], [5, 5, 6, 6]], [0.5] * 3) == [0, 1, 2]


def test_empty_boxes_are_kept_once():
    assert keep([[1, 1, 1, 1], [1, 1, 1, 1]], [0.2, 0.4], max_outputs=6) == [1, 0]


@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 1e9])
def test_padding_is_never_seen(junk):
    rng = np.random.default_rng(0)
    xyxy, score = naive.random_boxes(rng, 20, span=30), rng.random(20, np.float32)
    expected = keep(xyxy, score)
    padded = np.concatenate([xyxy, np.full((5, 4), junk, np.float32)])
    scores = np.concatenate([score, np.full(5, junk, np.float32)])
    assert keep(padded, scores, np.arange(25) < 20) == expected
    assert keep(padded, scores, np.zeros(25, bool)) == []


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_at_once_keep_the_same(threshold, seed):
    rng = np.random.default_rng(seed)
    xyxy = naive.jittered(rng, naive.random_boxes(rng, 10), 8)
    valid = rng.random(80) < 0.8
    falling = -np.arange(80.0)
    expected = np.flatnonzero(valid)[naive.greedy_nms(xyxy[valid], falling[valid], threshold)]
    xyxy[~valid] = np.where(rng.random(4) < 0.5, np.nan, 30.0)
    got = jax.jit(partial(suppress, threshold=threshold))(xyxy, valid)
    assert 1 < len(expected) < valid.sum()
    np.testing.assert_array_equal(np.flatnonzero(got), expected)


def test_all_pairs_at_once_follow_a_long_chain():
    # Each box overlaps its neighbours: every other one stays, known one after the other.
    at = np.arange(40, dtype=np.float32)[:, None] * 4
    chain = np.concatenate([at, 0 * at, at + 10, 0 * at + 10], axis=1)
    got = suppress(chain, np.ones(40, bool), threshold=0.3)
    assert np.flatnonzero(got).tolist() == list(range(0, 40, 2))


def test_images_of_a_batch_are_separate():
    rng = np.random.default_rng(1)
    xyxy = jnp.stack([naive.random_boxes(rng, 30, span=30) for _ in range(3)])
    score, valid = jnp.asarray(rng.random((3, 30))), jnp.asarray(rng.random((3, 30)) < 0.8)
    run = jax.jit(partial(nms, threshold=0.4, max_outputs=12))
    index, found = jax.vmap(run)(xyxy, score, valid)
    for i in range(3):
        one = run(xyxy[i], score[i], valid[i])
        np.testing.assert_array_equal(index[i], one[0])
        np.testing.assert_array_equal(found[i], one[1])
