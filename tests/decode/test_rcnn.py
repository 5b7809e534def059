"""Proposals and detections of Mask R-CNN against plain loops."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.decode.rcnn import detections, propose
from sor_jax.ops.anchors import anchors
from sor_jax.structures import AnchorOutputs, Boxes, RegionBoxes
from tests import naive

HW = (64, 96)
ANCHORS = anchors(HW, (8, 16, 32), (16, 32, 64))
A = len(ANCHORS.level)


def moved(delta, source, weights):
    """A box that lies `delta` away from another, in plain Python."""
    x0, y0, x1, y1 = source
    dx, dy, dw, dh = np.divide(delta, weights)
    x, y = (x0 + x1) / 2 + dx * (x1 - x0), (y0 + y1) / 2 + dy * (y1 - y0)
    w, h = (x1 - x0) * np.exp(min(dw, np.log(62.5))), (y1 - y0) * np.exp(min(dh, np.log(62.5)))
    h_max, w_max = HW
    cut = np.clip([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0, [w_max, h_max, w_max, h_max])
    return cut.tolist()


def is_real(box):
    return box[2] > box[0] and box[3] > box[1]


def random_outputs(seed):
    """Coarse logits, so that equal ones occur within and across levels."""
    rng = np.random.default_rng(seed)
    logit = rng.integers(-20, 20, A).astype(np.float32)
    return AnchorOutputs(jnp.asarray(logit), jnp.asarray(rng.normal(0, 0.3, (A, 4)), jnp.float32))


def proposal_loops(outputs, where, pre_nms_top, max_proposals):
    found = []
    for level in range(3):
        chosen = [a for a in np.flatnonzero(ANCHORS.level == level) if where[a]]
        chosen = sorted(chosen, key=lambda a: -outputs.objectness_logit[a])[:pre_nms_top]
        xyxy = [moved(outputs.delta[a], ANCHORS.xyxy[a], (1,) * 4) for a in chosen]
        pairs = [
            (box, float(outputs.objectness_logit[a])) for box, a in zip(xyxy, chosen, strict=True)
        ]
        pairs = [pair for pair in pairs if is_real(pair[0])]
        boxes, scores = zip(*pairs, strict=True)
        found += [pairs[i] for i in naive.greedy_nms(boxes, scores, 0.7)]
    return sorted(found, key=lambda pair: -pair[1])[:max_proposals]


@pytest.mark.parametrize(("pre_nms_top", "most"), [(10, 15), (60, 400)])
@pytest.mark.parametrize("seed", range(2))
def test_proposals_match_loops(seed, pre_nms_top, most):
    outputs, where = random_outputs(seed), np.random.default_rng(seed).random(A) < 0.8
    run = partial(propose, pre_nms_top=pre_nms_top, max_proposals=most)
    got = jax.jit(lambda *x: run(x[0], ANCHORS, *x[1:]))(outputs, where, jnp.array(HW))
    expected = proposal_loops(outputs, where, pre_nms_top, most)
    count = int(got.boxes.valid.sum())
    assert got.boxes.valid.shape == (most,) and count == len(expected) > 10
    assert got.boxes.valid[:count].all()
    np.testing.assert_allclose(got.score[:count], [score for _, score in expected])
    np.testing.assert_allclose(got.boxes.xyxy[:count], [box for box, _ in expected], atol=1e-3)
    assert not got.boxes.xyxy[count:].any() and not got.score[count:].any()


def test_no_gradient_flows_to_the_first_stage():
    def total(outputs):
        found = propose(
            outputs,
            ANCHORS,
            jnp.ones(A, bool),
            jnp.array(HW),
            pre_nms_top=20,
            max_proposals=10,
        )
        return found.boxes.xyxy.sum() + found.score.sum()

    for gradient in jax.tree.leaves(jax.jit(jax.grad(total))(random_outputs(0))):
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("seed", range(3))
def test_detections_match_loops(seed):
    rng = np.random.default_rng(seed)
    regions = naive.jittered(rng, naive.random_boxes(rng, 6, span=80), 5)
    valid = rng.random(30) < 0.8
    logit = rng.integers(-2, 3, (30, 2)).astype(np.float32)
    delta = rng.normal(0, 0.5, (30, 4)).astype(np.float32)
    pairs = []
    for i in np.flatnonzero(valid):
        score = np.exp(logit[i, 0]) / np.exp(logit[i]).sum()
        box = moved(delta[i], regions[i], (10, 10, 5, 5))
        if score > 0.3 and is_real(box):
            pairs.append((box, score))
    boxes, scores = zip(*pairs, strict=True)
    # Equal in exact arithmetic are equal here: logits are whole numbers.
    kept = naive.greedy_nms(boxes, np.round(scores, 6), 0.5)[:8]
    regions[~valid] = np.nan
    outputs = RegionBoxes(jnp.asarray(logit), jnp.asarray(delta))
    run = partial(detections, max_detections=8, class_threshold=0.3)
    got = jax.jit(run)(outputs, Boxes(jnp.asarray(regions), jnp.asarray(valid)), jnp.array(HW))
    count = int(got.boxes.valid.sum())
    assert count == len(kept) > 3
    np.testing.assert_allclose(got.boxes.xyxy[:count], [boxes[i] for i in kept], atol=1e-3)
    np.testing.assert_allclose(got.score[:count], [scores[i] for i in kept], rtol=1e-5)
    assert not got.boxes.xyxy[count:].any() and not got.score[count:].any()
