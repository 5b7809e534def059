from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.structures import Boxes, Proposals
from sor_jax.targets.rois import select_rois
from tests import naive


def proposals_of(xyxy, valid=None):
    xyxy = jnp.asarray(xyxy, jnp.float32).reshape(-1, 4)
    valid = jnp.ones(len(xyxy), bool) if valid is None else jnp.asarray(valid)
    return Proposals(Boxes(xyxy, valid), jnp.ones(len(xyxy)))


def boxes_of(xyxy, valid=None):
    return proposals_of(xyxy, valid).boxes


def selected(rois):
    """[(box, matched object)] of the slots in use, which must stand first."""
    count = int(rois.boxes.valid.sum())
    assert rois.boxes.valid[:count].all()
    assert not rois.boxes.xyxy[count:].any()
    assert not rois.gt_index[count:].any()
    boxes, matched = rois.boxes.xyxy[:count].tolist(), rois.gt_index[:count].tolist()
    return list(zip(map(tuple, boxes), matched, strict=True))


def loops(proposed, gt):
    """Foreground in the order of the contract, without a limit."""
    chosen = []
    for i, box in enumerate([*gt, *proposed]):
        overlaps = [naive.iou(box, other) for other in gt]
        matched = int(np.argmax(overlaps))
        if overlaps[matched] >= 0.5:
            priority = -overlaps[matched] if i >= len(gt) else -2.0
            chosen.append((priority, i, (tuple(box.tolist()), matched)))
    return [answer for *_, answer in sorted(chosen)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slots", [7, 20, 64])
def test_matches_loops(seed, slots):
    rng = np.random.default_rng(seed)
    gt = naive.random_boxes(rng, 5)
    proposed = naive.jittered(rng, gt, 6, by=12)
    expected = loops(proposed, gt)
    assert 7 < len(expected) < 35
    rois = jax.jit(partial(select_rois, slots=slots))(proposals_of(proposed), boxes_of(gt))
    assert selected(rois) == expected[:slots]
    assert rois.num_left_out == max(len(expected) - slots, 0)
    assert rois.gt_index.shape == (slots,)


def test_by_hand():
    gt = [[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]]  # the first two are one box
    proposed = [[0, 0, 10, 5], [0, 0, 10, 4.9], [50, 50, 60, 59], [80, 80, 90, 90]]
    rois = select_rois(proposals_of(proposed), boxes_of(gt), slots=6)
    a, b = (0.0, 0.0, 10.0, 10.0), (50.0, 50.0, 60.0, 60.0)
    half, most = (0.0, 0.0, 10.0, 5.0), (50.0, 50.0, 60.0, 59.0)  # IoU .5 is foreground
    assert selected(rois) == [(a, 0), (a, 0), (b, 2), (most, 2), (half, 0)]


@pytest.mark.parametrize("junk", [np.nan, np.inf, 5.0])
def test_padding_is_never_seen(junk):
    rng = np.random.default_rng(0)
    gt = naive.random_boxes(rng, 3)
    proposed = naive.jittered(rng, gt, 4)
    pad = np.full((2, 4), junk)
    rois = select_rois(
        proposals_of(np.concatenate([pad, proposed]), [False] * 2 + [True] * 12),
        boxes_of(np.concatenate([gt, pad]), [True] * 3 + [False] * 2),
        slots=24,
    )
    assert selected(rois) == selected(select_rois(proposals_of(proposed), boxes_of(gt), slots=24))


def test_an_image_without_objects_has_no_foreground():
    gt = boxes_of(np.full((2, 4), 3.0), [False, False])
    rois = select_rois(proposals_of(np.full((2, 4), 3.0)), gt, slots=4)
    assert selected(rois) == []
    assert rois.num_left_out == 0


def test_an_empty_ground_truth_box_is_no_region():
    rois = select_rois(proposals_of([[0, 0, 9, 9]]), boxes_of([[4, 4, 4, 8]]), slots=2)
    assert selected(rois) == []


def test_no_gradient_flows_through_boxes():
    def total(xyxy):
        rois = select_rois(proposals_of(xyxy), boxes_of([[0, 0, 10, 10]]), slots=3)
        return rois.boxes.xyxy.sum()

    np.testing.assert_array_equal(jax.grad(total)(jnp.array([[0.0, 0, 10, 9]])), 0)
