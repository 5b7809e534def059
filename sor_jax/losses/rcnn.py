"""Losses of the two stages of Mask R-CNN (Fast and Faster R-CNN papers)."""

import jax
import jax.numpy as jnp
import optax

from sor_jax.losses.reduce import SumCount, masked_sum, read


def objectness_loss(logit: jax.Array, positive: jax.Array, where: jax.Array) -> SumCount:
    """Binary cross-entropy of logit f32[..., A] with positive over where, both bool[..., A]."""
    target = positive.astype(jnp.float32)
    loss = optax.losses.sigmoid_binary_cross_entropy(read(logit, where), target)
    return masked_sum(loss, where)


def offset_loss(delta: jax.Array, target: jax.Array, where: jax.Array) -> SumCount:
    """The four absolute differences of offsets delta and target f32[..., N, 4], summed.

    Over `where` bool[..., N], the boxes that have an object; counts the boxes.
    """
    loss = jnp.sum(jnp.abs(read(delta, where) - read(target, where)), axis=-1)
    return masked_sum(loss, where)


def class_loss(logit: jax.Array, foreground: jax.Array, where: jax.Array) -> SumCount:
    """Cross-entropy of logit f32[..., R, 2] (object, background) over `where` bool[..., R].

    The class is object where foreground bool[..., R] holds.
    """
    label = jnp.where(foreground, 0, 1)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(read(logit, where), label)
    return masked_sum(loss, where)
