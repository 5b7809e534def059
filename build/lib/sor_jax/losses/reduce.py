"""Losses return (sum, count) over what counts; `ratio` is the one place that divides.

Every loss takes any leading axes, reduces over all of them to two f32[] and reads a value only
where `where` holds: padding may hold anything, inf and nan included, and reaches neither value nor
gradient.
"""

import jax
import jax.numpy as jnp

SumCount = tuple[jax.Array, jax.Array]


def masked_sum(x: jax.Array, where: jax.Array) -> SumCount:
    """The sum of x f32[...] over `where` bool[...], and how many that are."""
    total = jnp.sum(jnp.where(where, x, 0.0), dtype=jnp.float32)
    return total, jnp.sum(where, dtype=jnp.float32)


def ratio(sum_count: SumCount, *, at_least: float = 1.0) -> jax.Array:
    """Sum / max(count, at_least): f32[], 0 for an empty set."""
    total, count = sum_count
    return total / jnp.maximum(count, at_least)


def read(x: jax.Array, where: jax.Array, *, filler: float = 0.0) -> jax.Array:
    """x as f32[...] with `filler` outside `where` bool[...], which broadcasts over trailing axes.

    A function with a pole must be fed safe values: masking what comes out leaves nan gradients.
    """
    where = where.reshape(where.shape + (1,) * (x.ndim - where.ndim))
    return jnp.where(where, x.astype(jnp.float32), filler)
