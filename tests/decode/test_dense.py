from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.decode.dense import decode_images, proposals
from sor_jax.ops import boxes, grid
from sor_jax.structures import DenseOutputs
from tests import naive

POINTS = grid.points((64, 96), (8, 16, 32))
P = len(POINTS.level)


def random_outputs(seed, *, batch=()):
    """Coarse logits, so that equal scores occur within and across levels."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-4, 5, (2, *batch, P)).astype(np.float32)
    ltrb = rng.integers(0, 12, (*batch, P, 4)).astype(np.float32) / 4
    return DenseOutputs(jnp.asarray(logits[0]), jnp.asarray(ltrb), jnp.asarray(logits[1]))


def loops(dense, where, *, threshold, nms_threshold, pre_nms_top, max_proposals):
    """[(box, score)] by plain loops over the points."""
    prob = np.asarray(jax.nn.sigmoid(dense.class_logit))
    score = np.asarray(jnp.sqrt(prob * jax.nn.sigmoid(dense.centerness_logit)))
    chosen = []
    for level in range(POINTS.level.max() + 1):
        kept = [p for p in np.flatnonzero((POINTS.level == level) & where) if prob[p] > threshold]
        best = sorted(kept, key=lambda p: -score[p])[:pre_nms_top]
        chosen += sorted(best)
    xyxy = []
    for p in chosen:
        x, y = POINTS.xy[p]
        left, top, right, bottom = np.asarray(dense.ltrb[p]) * POINTS.stride[p]
        xyxy.append([x - left, y - top, x + right, y + bottom])
    survivors = naive.greedy_nms(xyxy, score[chosen], nms_threshold)[:max_proposals]
    return [(xyxy[i], score[chosen][i]) for i in survivors]


@pytest.mark.parametrize("pre_nms_top", [5, 30, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_matches_loops(pre_nms_top, seed):
    dense = random_outputs(seed)
    options = {"nms_threshold": 0.4, "pre_nms_top": pre_nms_top, "max_proposals": 25}
    where = np.random.default_rng(seed).random(P) < 0.8
    run = jax.jit(partial(proposals, points=POINTS, class_threshold=0.3, **options))
    got = run(dense, where=where)
    expected = loops(dense, where, threshold=0.3, **options)
    count = int(got.boxes.valid.sum())
    assert count == len(expected) > 5
    np.testing.assert_allclose(got.boxes.xyxy[:count], [box for box, _ in expected])
    np.testing.assert_allclose(got.score[:count], [score for _, score in expected])
    assert not got.boxes.valid[count:].any()
    assert not got.boxes.xyxy[count:].any()
    assert not got.score[count:].any()


def test_the_class_threshold_is_strict_and_centerness_does_not_enter_it():
    quiet = jnp.full(P, -20.0)
    dense = DenseOutputs(quiet.at[3].set(0.0).at[40].set(0.1), jnp.ones((P, 4)), quiet)
    got = proposals(dense, POINTS, class_threshold=0.5, max_proposals=4)
    assert got.boxes.valid.tolist() == [True, False, False, False]
    x, y = POINTS.xy[40]
    np.testing.assert_allclose(got.boxes.xyxy[0], [x - 8, y - 8, x + 8, y + 8])


def test_equal_scores_prefer_the_finer_level():
    dense = DenseOutputs(jnp.zeros(P), jnp.zeros((P, 4)), jnp.zeros(P))
    got = proposals(dense, POINTS, class_threshold=0.3, max_proposals=P)
    np.testing.assert_array_equal(got.boxes.xyxy[:, :2], POINTS.xy)


def test_nothing_found_is_all_padding():
    dense = DenseOutputs(jnp.full(P, -1e4), jnp.ones((P, 4)), jnp.full(P, 1e4))
    got = proposals(dense, POINTS, class_threshold=0.05, max_proposals=3)
    assert not got.boxes.valid.any()
    assert not got.boxes.xyxy.any()


def test_a_batch_is_a_stack_of_images():
    run = partial(proposals, points=POINTS, class_threshold=0.3, max_proposals=10, pre_nms_top=20)
    dense = random_outputs(0, batch=(3,))
    batched = jax.vmap(run)(dense)
    for i in range(3):
        one = run(jax.tree.map(lambda x, i=i: x[i], dense))
        jax.tree.map(lambda got, want, i=i: np.testing.assert_allclose(got[i], want), batched, one)


def test_no_gradient_flows_back():
    def total(dense):
        found = proposals(dense, POINTS, class_threshold=0.3, max_proposals=5)
        return found.boxes.xyxy.sum() + found.score.sum()

    for gradient in jax.tree.leaves(jax.grad(total)(random_outputs(0))):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("clip", [False, True])
def test_images_are_decoded_each_with_its_own_size(clip):
    dense, hw = random_outputs(1, batch=(2,)), jnp.array([[64, 96], [40, 33]])
    where = jnp.stack([grid.inside(POINTS, size) for size in hw])
    settings = {"class_threshold": 0.3, "max_proposals": 20}
    got = decode_images(dense, POINTS, where, hw, clip=clip, **settings)
    for i in range(2):
        one = proposals(jax.tree.map(lambda x, i=i: x[i], dense), POINTS, where[i], **settings)
        xyxy, valid = one.boxes.xyxy, one.boxes.valid
        if clip:
            xyxy = boxes.clip(xyxy, hw[i])
            valid &= ~boxes.is_empty(xyxy)
        np.testing.assert_array_equal(got.boxes.valid[i], valid)
        np.testing.assert_allclose(got.boxes.xyxy[i], xyxy)
    assert got.boxes.valid.any(axis=1).all()
