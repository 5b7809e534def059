"""What the two stages of Mask R-CNN learn from: anchors, then regions (Faster R-CNN paper).

Both are samples, drawn at random: every candidate comes with a number, and those with the lowest
numbers are taken.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from sor_jax.ops import boxes
from sor_jax.ops.box_coding import ANCHOR_WEIGHTS, REGION_WEIGHTS, encode
from sor_jax.structures import Boxes, Proposals

ANCHOR_FOREGROUND_IOU, ANCHOR_BACKGROUND_IOU = 0.7, 0.3
REGION_FOREGROUND_IOU = 0.5


class AnchorTargets(NamedTuple):
    """The sampled anchors of one image."""

    positive: jax.Array  # bool[A] has to find an object
    sampled: jax.Array  # bool[A] positive, or has to say that there is none
    delta: jax.Array  # f32[A, 4] of positive anchors: their offset to the object


class RegionTargets(NamedTuple):
    """The sampled regions of one image: foreground first, then background, then padding."""

    boxes: Boxes  # [S]
    foreground: jax.Array  # bool[S]
    gt_index: jax.Array  # i32[S] of the foreground: index into the M objects
    delta: jax.Array  # f32[S, 4] of the foreground: the offset to the object
    num_left_out: jax.Array  # i32[] foreground regions that were not drawn


def anchor_targets(
    gt: Boxes,
    anchors: jax.Array,
    where: jax.Array,
    draw: jax.Array,
    *,
    count: int = 256,
    positive_share: float = 0.5,
) -> AnchorTargets:
    """Samples `count` of the anchors f32[A, 4] in `where` bool[A], at most a share of it positive.

    An anchor is positive for the object that it overlaps most (equal: the first) when that is by
    IoU >= 0.7, or when no anchor overlaps some object more than it does; it is negative below 0.3.
    `draw` f32[A]: the lowest are taken. `gt` holds one image's boxes [M]. No gradient flows back.
    """
    xyxy = jax.lax.stop_gradient(gt.xyxy)
    iou = boxes.iou_matrix(anchors, xyxy)
    iou = jnp.where(gt.valid & where[:, None], iou, -1.0)
    most, index = iou.max(axis=1), iou.argmax(axis=1)
    closest = (iou == iou.max(axis=0)) & (iou > 0)
    positive = where & ((most >= ANCHOR_FOREGROUND_IOU) | closest.any(axis=1))
    negative = where & (most < ANCHOR_BACKGROUND_IOU) & ~positive

    positive = _lowest(draw, positive, int(count * positive_share))
    num_negative = count - positive.sum(dtype=jnp.int32)
    sampled = positive | _lowest(draw, negative, count, at_most=num_negative)
    return AnchorTargets(
        positive, sampled, _encoded(xyxy[index], anchors, positive, ANCHOR_WEIGHTS)
    )


def region_targets(
    proposals: Proposals,
    gt: Boxes,
    draw: jax.Array,
    *,
    count: int = 512,
    foreground_slots: int = 128,
) -> RegionTargets:
    """Samples S = `count` of one image's proposals [N] and ground-truth boxes [M].

    A region is foreground for the object that it overlaps most (equal: the first) when that is by
    IoU >= 0.5, else background; an empty box is neither. At most `foreground_slots` are foreground,
    background fills what they leave. `draw` f32[N + M]: the lowest are taken. No gradient flows
    through boxes.
    """
    gt, proposed = jax.lax.stop_gradient((gt, proposals.boxes))
    candidate = jax.tree.map(lambda *x: jnp.concatenate(x), proposed, gt)
    most, index = boxes.best_overlap(candidate.xyxy, gt)
    real = candidate.valid & ~boxes.is_empty(candidate.xyxy)
    foreground = real & (most >= REGION_FOREGROUND_IOU)
    drawn = _lowest(draw, foreground, foreground_slots)

    kind = jnp.where(drawn, 2, jnp.where(real & ~foreground, 1, 0))
    chosen = jnp.lexsort((draw, -kind))[:count]
    chosen = jnp.pad(chosen, (0, count - len(chosen)))
    is_slot = jnp.arange(count) < jnp.sum(kind > 0)
    valid, drawn = is_slot & (kind[chosen] > 0), is_slot & drawn[chosen]
    xyxy = jnp.where(valid[:, None], candidate.xyxy[chosen], 0.0)
    gt_index = jnp.where(drawn, index[chosen], 0).astype(jnp.int32)
    return RegionTargets(
        boxes=Boxes(xyxy, valid),
        foreground=drawn,
        gt_index=gt_index,
        delta=_encoded(gt.xyxy[gt_index], xyxy, drawn, REGION_WEIGHTS),
        num_left_out=jnp.maximum(foreground.sum(dtype=jnp.int32) - foreground_slots, 0),
    )


def _encoded(xyxy, source, where, weights):
    """The offsets from `source` to xyxy f32[.., 4] in `where` bool[..], zeros elsewhere."""
    unit = jnp.array([0.0, 0.0, 1.0, 1.0])  # a safe box, so that none gives inf or nan
    xyxy, source = (jnp.where(where[:, None], box, unit) for box in (xyxy, source))
    return encode(xyxy, source, weights)


def _lowest(draw, where, slots, *, at_most=None):
    """bool[N]: of those in `where` bool[N] the `slots` (or at_most) of lowest draw f32[N]."""
    slots = min(slots, len(draw))
    value, index = jax.lax.top_k(jnp.where(where, -draw, -jnp.inf), slots)
    taken = value > -jnp.inf
    if at_most is not None:
        taken &= jnp.arange(slots) < at_most
    return jnp.zeros(where.shape, bool).at[index].set(taken)
