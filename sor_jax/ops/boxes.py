"""Geometry of axis-aligned boxes: x0 y0 x1 y1 in pixels, continuous coordinates, float32."""

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.structures import Boxes


def area(xyxy: jax.Array) -> jax.Array:
    """Areas f32[...] of boxes f32[..., 4]; a box with a side <= 0 has none."""
    sides = jnp.maximum(xyxy[..., 2:] - xyxy[..., :2], 0.0)
    return sides[..., 0] * sides[..., 1]


def is_empty(xyxy: jax.Array) -> jax.Array:
    """Whether boxes f32[..., 4] have a side <= 0: bool[...]."""
    return jnp.any(xyxy[..., 2:] <= xyxy[..., :2], axis=-1)


def clip(xyxy: jax.Array, valid_hw: jax.Array) -> jax.Array:
    """Cuts boxes f32[..., 4] to an image of (height, width) i32[2]; those outside turn empty."""
    h, w = valid_hw[0], valid_hw[1]
    limit = jnp.stack([w, h, w, h]).astype(xyxy.dtype)
    return jnp.clip(xyxy, 0.0, limit)


def iou_matrix(a: jax.Array, b: jax.Array) -> jax.Array:
    """Intersection over union of every pair, f32[N, M], of boxes f32[N, 4] and f32[M, 4].

    Empty boxes overlap with nothing, themselves included.
    """
    top_left = jnp.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = jnp.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = area(jnp.concatenate([top_left, bottom_right], axis=-1))
    union = area(a)[:, None] + area(b)[None, :] - intersection
    return jnp.where(intersection > 0, intersection / jnp.where(union > 0, union, 1.0), 0.0)


def best_overlap(xyxy: jax.Array, gt: Boxes) -> tuple[jax.Array, jax.Array]:
    """The IoU f32[N] of boxes f32[N, 4] with the valid one of gt [M] that each overlaps most
    (equal: the first), and its index i32[N]; -1 where gt has no valid box."""
    iou = jnp.where(gt.valid, iou_matrix(xyxy, gt.xyxy), -1.0)
    return iou.max(axis=1), iou.argmax(axis=1)


def distances(xy: jax.Array | np.ndarray, xyxy: jax.Array) -> jax.Array:
    """Pixels f32[..., 4] from points f32[..., 2] to the left, top, right, bottom sides of boxes.

    Positive on the inner side, so a point lies strictly inside a box when all four are above 0.
    """
    return jnp.concatenate([xy - xyxy[..., :2], xyxy[..., 2:] - xy], axis=-1)


def from_distances(xy: jax.Array | np.ndarray, ltrb: jax.Array) -> jax.Array:
    """Boxes f32[..., 4] around points f32[..., 2]: the inverse of `distances`."""
    return jnp.concatenate([xy - ltrb[..., :2], xy + ltrb[..., 2:]], axis=-1)
