"""A loss is a `SumCount` over what counts; `ratio` is the one place that divides.

Every loss takes any leading axes, reduces over all of them and reads a value only where `where`
holds: padding may hold anything, inf and nan included, and reaches neither value nor gradient.
"""

import flax.struct
import jax
import jax.numpy as jnp


@flax.struct.dataclass
class SumCount:
    """A loss before it is divided. Those of the parts of a batch add up, leaf by leaf."""

    total: jax.Array  # f32[]
    count: jax.Array  # f32[] what it is divided by, over the whole batch
    least: float = flax.struct.field(pytree_node=False, default=1.0)
    """The total is divided by this where the count is less; no leaf, it does not add up."""


def masked_sum(x: jax.Array, where: jax.Array) -> SumCount:
    """The sum of x f32[...] over `where` bool[...], and how many that are."""
    total = jnp.sum(jnp.where(where, x, 0.0), dtype=jnp.float32)
    return SumCount(total, jnp.sum(where, dtype=jnp.float32))


def ratio(loss: SumCount) -> jax.Array:
    """Total / max(count, least): f32[], 0 for an empty set."""
    return loss.total / jnp.maximum(loss.count, loss.least)


def read(x: jax.Array, where: jax.Array, *, filler: float = 0.0) -> jax.Array:
    """x as f32[...] with `filler` outside `where` bool[...], which broadcasts over trailing axes.

    A function with a pole must be fed safe values: masking what comes out leaves nan gradients.
    """
    where = where.reshape(where.shape + (1,) * (x.ndim - where.ndim))
    return jnp.where(where, x.astype(jnp.float32), filler)
