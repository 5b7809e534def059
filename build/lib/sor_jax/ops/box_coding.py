"""Boxes as offsets from other boxes (R-CNN, appendix C)."""

import math

import jax
import jax.numpy as jnp

# What a box may at most grow by in one step, as a logarithm: 16 pixels become 1000.
MAX_LOG_SCALE = math.log(1000 / 16)
ANCHOR_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
REGION_WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def encode(xyxy: jax.Array, source: jax.Array, weights: tuple[float, ...]) -> jax.Array:
    """Offsets (dx, dy, dw, dh) f32[..., 4] from boxes `source` to boxes xyxy, both f32[..., 4].

    The centre moves by shares of the source's sides, the sides grow by logarithms, and all is
    multiplied by `weights`. Both boxes must have an area.
    """
    center, size = _center_size(xyxy)
    from_center, from_size = _center_size(source)
    shift = (center - from_center) / from_size
    return jnp.concatenate([shift, jnp.log(size / from_size)], axis=-1) * jnp.asarray(weights)


def decode(delta: jax.Array, source: jax.Array, weights: tuple[float, ...]) -> jax.Array:
    """Boxes f32[..., 4] that lie `delta` away from `source`: the inverse of `encode`.

    Growth beyond 1000 / 16 is cut.
    """
    center, size = _center_size(source)
    delta = delta / jnp.asarray(weights)
    center = center + delta[..., :2] * size
    half = jnp.exp(jnp.minimum(delta[..., 2:], MAX_LOG_SCALE)) * size / 2
    return jnp.concatenate([center - half, center + half], axis=-1)


def _center_size(xyxy):
    size = xyxy[..., 2:] - xyxy[..., :2]
    return xyxy[..., :2] + size / 2, size
