"""Losses of the mask and mask IoU heads over foreground regions [..., R]."""

import jax
import jax.numpy as jnp
import optax

from sor_jax.losses.reduce import SumCount, masked_sum, read


def mask_loss(logit: jax.Array, target: jax.Array, where: jax.Array) -> SumCount:
    """Binary cross-entropy, averaged over the cells of a region, summed over `where` bool[..., R].

    Takes logit [..., R, S, S] and target [..., R, S, S], 0 or 1.
    """
    loss = optax.losses.sigmoid_binary_cross_entropy(read(logit, where), read(target, where))
    return masked_sum(loss.mean(axis=(-2, -1)), where)


def mask_iou_loss(pred: jax.Array, target: jax.Array, where: jax.Array) -> SumCount:
    """Half the squared error of a predicted IoU f32[..., R] over regions with a target above 0."""
    where = where & (read(target, where) > 0)
    return masked_sum(0.5 * jnp.square(read(pred, where) - read(target, where)), where)
