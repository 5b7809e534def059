"""Loss of the ranking head over foreground regions [..., R]."""

import jax
import jax.numpy as jnp
import optax

from sor_jax.losses.reduce import SumCount, masked_sum, read
from sor_jax.structures import NO_RANK


def rank_loss(logit: jax.Array, rank_class: jax.Array, where: jax.Array) -> SumCount:
    """Cross-entropy of logit f32[..., R, K] with the rank class i32[..., R] of matched objects.

    A region whose object has no known rank (NO_RANK) counts for nothing.
    """
    where = where & (rank_class != NO_RANK)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(
        read(logit, where), jnp.where(where, rank_class, 0)
    )
    return masked_sum(loss, where)
