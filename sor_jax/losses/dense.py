"""Losses of the dense detector at pyramid points [..., P] (FCOS)."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from sor_jax.losses.reduce import SumCount, masked_sum, read


def focal_loss(
    logit: jax.Array, positive: jax.Array, where: jax.Array, *, alpha=0.25, gamma=2.0
) -> SumCount:
    """Sigmoid focal loss (Lin et al. 2017, eq. 5) over `where` bool[..., P]; counts the positives.

    Takes logit f32[..., P] and positive bool[..., P].
    """
    loss = optax.losses.sigmoid_focal_loss(read(logit, where), positive, alpha=alpha, gamma=gamma)
    over_points = masked_sum(loss, where)
    return dataclasses.replace(over_points, count=jnp.sum(positive & where, dtype=jnp.float32))


def box_loss(ltrb: jax.Array, gt_ltrb: jax.Array, weight: jax.Array, where: jax.Array) -> SumCount:
    """GIoU loss of distances f32[..., P, 4] >= 0 in strides; the count is the sum of weights.

    `where` bool[..., P] holds at positive points; weight f32[..., P] is their centerness target,
    0..1: one positive point may count for less than 1, so the least count is close to 0.
    """
    loss = giou_loss(read(ltrb, where, filler=1.0), read(gt_ltrb, where, filler=1.0))
    weight = read(weight, where)
    return SumCount(jnp.sum(weight * loss), jnp.sum(weight), least=1e-6)


def giou_loss(a: jax.Array, b: jax.Array) -> jax.Array:
    """1 - GIoU f32[...] of two boxes around one point, given by distances l t r b f32[..., 4].

    As in CenterMask, 1 joins intersection and union in the IoU term (and nowhere else), so that
    boxes without area have a gradient. `a` or `b` must have an area.
    """
    overlap, hull = jnp.minimum(a, b), jnp.maximum(a, b)
    intersection, enclosing = _area(overlap), _area(hull)
    union = _area(a) + _area(b) - intersection
    iou = (intersection + 1) / (union + 1)
    return 1 - iou + (enclosing - union) / enclosing


def centerness_loss(logit: jax.Array, target: jax.Array, where: jax.Array) -> SumCount:
    """Binary cross-entropy of logit with target f32[..., P] over positives `where` bool[..., P]."""
    loss = optax.losses.sigmoid_binary_cross_entropy(read(logit, where), read(target, where))
    return masked_sum(loss, where)


def _area(ltrb: jax.Array) -> jax.Array:
    return (ltrb[..., 0] + ltrb[..., 2]) * (ltrb[..., 1] + ltrb[..., 3])
