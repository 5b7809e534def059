"""Sums over a map by channel, and their transpose, in the form that is fastest where it runs.

A CPU takes the sum as a product with ones: XLA's own reduction of outer axes walks it number by
number, some five to twenty times as slow.
"""

import functools

import jax
import jax.numpy as jnp


@jax.custom_vjp
def channel_sums(x):
    """f[B, H, W, C] -> f32[B, C]."""
    return jax.lax.platform_dependent(x, cpu=_by_product, default=_by_reduction)


def _by_product(x):
    batch, h, w, channels = x.shape
    ones = jnp.ones((batch, h * w), jnp.float32)
    x = x.astype(jnp.float32).reshape(batch, h * w, channels)
    return jnp.einsum("bn,bnc->bc", ones, x)


def _by_reduction(x):
    return jnp.sum(x, axis=(1, 2), dtype=jnp.float32)


def _sums_forward(x):
    return channel_sums(x), jnp.zeros((0, *x.shape[1:]), x.dtype)  # shape and dtype


def _sums_backward(like, cotangent):
    return (spread(cotangent, like.shape[1:3]).astype(like.dtype),)


channel_sums.defvjp(_sums_forward, _sums_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def spread(values, hw: tuple[int, int]):
    """f[B, C] -> [B, H, W, C], the same in every cell."""
    batch, channels = values.shape
    return jnp.broadcast_to(values[:, None, None], (batch, *hw, channels))


def _spread_forward(values, hw):
    return spread(values, hw), jnp.zeros(0, values.dtype)


def _spread_backward(hw, like, cotangent):
    return (channel_sums(cotangent).astype(like.dtype),)


spread.defvjp(_spread_forward, _spread_backward)


def add_bias(x, bias):
    """f[B, H, W, C] + f[C]."""
    # All rows at once, so that the gradient is one sum.
    rows = x.reshape(1, -1, *x.shape[2:])
    return (rows + spread(bias[None], rows.shape[1:3])).reshape(x.shape)
