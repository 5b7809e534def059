"""Sampling of anchors and regions against loops over one candidate and one object at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.anchors import anchors
from sor_jax.targets.rcnn import anchor_targets, region_targets
from tests import naive
from tests.targets.test_rois import boxes_of, proposals_of

ANCHORS = anchors((96, 128), (8, 16, 32), (16, 32, 64)).xyxy
ANCHOR_TARGETS = jax.jit(anchor_targets)


def offset(box, source, weights):
    (x0, y0, x1, y1), (a0, b0, a1, b1) = box, source
    width, height = a1 - a0, b1 - b0
    shift = ((x0 + x1 - a0 - a1) / 2 / width, (y0 + y1 - b0 - b1) / 2 / height)
    growth = np.log((x1 - x0) / width), np.log((y1 - y0) / height)
    return np.multiply([*shift, *growth], weights)


def anchor_loops(gt, where, draw, count):
    """{anchor: matched object} of the sampled positives, and the sampled negatives."""
    overlap = np.array([[naive.iou(a, g) for g in gt] for a in ANCHORS]) * where[:, None]
    best = overlap.max(axis=0)
    positive, negative = [], []
    for a in np.flatnonzero(where):
        if overlap[a].max() >= 0.7 or any(overlap[a] == np.where(best > 0, best, -1)):
            positive.append(a)
        elif overlap[a].max() < 0.3:
            negative.append(a)
    positive = sorted(positive, key=lambda a: draw[a])[: count // 2]
    negative = sorted(negative, key=lambda a: draw[a])[: count - len(positive)]
    return {a: int(overlap[a].argmax()) for a in positive}, negative


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [8, 64])
def test_anchors_match_loops(seed, count):
    rng = np.random.default_rng(seed)
    gt = naive.random_boxes(rng, 4, span=80, longest=70)
    gt = np.concatenate([gt, ANCHORS[[200, 300]] + np.float32(0.25)])  # surely found
    where, draw = rng.random(len(ANCHORS)) < 0.9, rng.permutation(len(ANCHORS)).astype(np.float32)
    expected, negative = anchor_loops(gt, where, draw, count)
    got = jax.jit(partial(anchor_targets, count=count))(boxes_of(gt), ANCHORS, where, draw)
    assert np.flatnonzero(got.positive).tolist() == sorted(expected)
    assert np.flatnonzero(got.sampled).tolist() == sorted([*expected, *negative])
    for a, m in expected.items():
        np.testing.assert_allclose(got.delta[a], offset(gt[m], ANCHORS[a], (1,) * 4), atol=1e-4)
    assert not got.delta[~got.positive].any()


def test_the_best_anchor_of_a_tiny_object_is_positive_with_all_its_equals():
    gt = boxes_of([[62, 30, 66, 34]])  # around (64, 32): symmetric between anchors
    everywhere, draw = np.ones(len(ANCHORS), bool), np.arange(len(ANCHORS), dtype=np.float32)
    got = ANCHOR_TARGETS(gt, ANCHORS, everywhere, draw)
    overlap = np.array([naive.iou(a, gt.xyxy[0]) for a in ANCHORS])
    assert overlap.max() < 0.3
    assert (
        np.flatnonzero(got.positive).tolist() == np.flatnonzero(overlap == overlap.max()).tolist()
    )


def region_loops(proposed, gt, draw, count, slots):
    """([(box, matched object)] of the foreground, background boxes), as drawn."""
    foreground, background = [], []
    for i in np.argsort(draw):
        box = [*proposed, *gt][i]
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        overlaps = [naive.iou(box, other) for other in gt]
        best = int(np.argmax(overlaps))
        if overlaps[best] >= 0.5:
            foreground.append((tuple(box.tolist()), best))
        else:
            background.append(tuple(box.tolist()))
    taken = foreground[:slots]
    return taken, background[: count - len(taken)], max(len(foreground) - slots, 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("count", "slots"), [(16, 4), (40, 30), (96, 24)])
def test_regions_match_loops(seed, count, slots):
    rng = np.random.default_rng(seed)
    gt = naive.random_boxes(rng, 5)
    proposed = naive.jittered(rng, gt, 10, by=15)
    draw = rng.permutation(len(proposed) + len(gt)).astype(np.float32)
    foreground, background, left_out = region_loops(proposed, gt, draw, count, slots)
    run = jax.jit(partial(region_targets, count=count, foreground_slots=slots))
    got = run(proposals_of(proposed), boxes_of(gt), draw)
    filled = len(foreground) + len(background)
    assert got.boxes.valid.tolist() == [i < filled for i in range(count)]
    assert got.foreground.tolist() == [i < len(foreground) for i in range(count)]
    assert got.num_left_out == left_out
    boxes = [tuple(box) for box in got.boxes.xyxy.tolist()]
    assert boxes[: len(foreground)] == [box for box, _ in foreground]
    assert boxes[len(foreground) : filled] == background
    assert not got.boxes.xyxy[filled:].any()
    for i, (box, m) in enumerate(foreground):
        assert got.gt_index[i] == m
        expected = offset(gt[m], box, (10, 10, 5, 5))
        np.testing.assert_allclose(got.delta[i], expected, atol=1e-4)
    assert not got.delta[len(foreground) :].any()


@pytest.mark.parametrize("junk", [np.nan, np.inf, 5.0])
def test_padding_is_never_seen(junk):
    rng = np.random.default_rng(0)
    gt = naive.random_boxes(rng, 3, longest=40)
    proposed, pad = naive.jittered(rng, gt, 4), np.full((2, 4), junk, np.float32)
    draw = rng.permutation(15).astype(np.float32)
    run = jax.jit(partial(region_targets, count=12, foreground_slots=8))
    expected = run(proposals_of(proposed), boxes_of(gt), draw)
    got = run(
        proposals_of(np.concatenate([pad, proposed]), [False] * 2 + [True] * 12),
        boxes_of(np.concatenate([gt, pad]), [True] * 3 + [False] * 2),
        np.concatenate([[-1, -2], draw[:12], draw[12:], [-3, -4]]),
    )
    jax.tree.map(np.testing.assert_array_equal, got, expected)

    padded = boxes_of(np.concatenate([gt, pad]), [True] * 3 + [False] * 2)
    draw = rng.random(len(ANCHORS), np.float32)
    everywhere = np.ones(len(ANCHORS), bool)
    expected = ANCHOR_TARGETS(boxes_of(gt), ANCHORS, everywhere, draw)
    got = ANCHOR_TARGETS(padded, ANCHORS, everywhere, draw)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_without_objects_all_is_background():
    none = boxes_of(np.full((2, 4), np.nan), [False, False])
    draw = np.arange(len(ANCHORS), dtype=np.float32)
    got = jax.jit(partial(anchor_targets, count=32))(none, ANCHORS, draw < 100, draw)
    assert not got.positive.any()
    assert np.flatnonzero(got.sampled).tolist() == list(range(32))
    run = jax.jit(partial(region_targets, count=4))
    got = run(proposals_of([[0, 0, 9, 9]]), none, jnp.arange(3.0))
    assert got.boxes.valid.tolist() == [True, False, False, False]
    assert not got.foreground.any()
    assert np.isfinite(got.delta).all()


def test_draws_are_fair():
    """Each of ten negatives is taken as often as any other."""
    where = np.zeros(len(ANCHORS), bool)
    where[:10] = True
    draw = jax.random.uniform(jax.random.key(0), (400, len(ANCHORS)))
    none = boxes_of(np.zeros((1, 4)), [False])
    run = jax.vmap(lambda d: anchor_targets(none, ANCHORS, where, d, count=4).sampled)
    got = jax.jit(run)(draw)
    times = np.asarray(got[:, :10].sum(axis=0))
    assert times.sum() == 4 * 400
    assert (np.abs(times - 160) < 5 * np.sqrt(400 * 0.4 * 0.6)).all()
