"""3x3 max pooling of stride 2, as a maximum of nine strided slices.

On a CPU XLA's window reduction and above all its gradient, a scatter of each window's choice, take
several times as long.
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def max_pool3(x, before: int = 0):
    """3x3/2 max pool, padded by `before` cells, 0 or 1, in front and one behind.

    [B, H, W, C] with even H and W -> [B, H / 2, W / 2, C]. Without cells in front it is a pool
    without padding in ceil mode. The gradient goes to a window's first cell of the largest value.
    """
    return functools.reduce(jnp.maximum, _windows(x, before).values())


def _windows(x, before):
    """{(row, column): that cell of every window [B, H / 2, W / 2, C]}, -inf outside the map."""
    (_, h, w, _), low = x.shape, -jnp.inf
    x = jnp.pad(x, ((0, 0), (before, 1), (before, 1), (0, 0)), constant_values=low)
    return {(i, j): x[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)}


def _forward(x, before):
    y = max_pool3(x, before)
    return y, (x, y)


def _backward(before, residuals, cotangent):
    x, y = residuals
    unclaimed, shares = jnp.ones(y.shape, bool), {}
    for cell, value in _windows(x, before).items():
        chosen = unclaimed & (value == y)
        unclaimed &= ~chosen
        shares[cell] = jnp.where(chosen, cotangent, 0)
    return (_fold(shares, before),)


def _fold(shares, before):
    """The sum of the windows' cells at their places in the map: the transpose of _windows."""
    rows = {j: _interleave(*(shares[i, j] for i in range(3)), 1, before) for j in range(3)}
    return _interleave(rows[0], rows[1], rows[2], 2, before)


def _interleave(first, second, third, axis, before):
    """Along an axis, cells 2i - before + (0, 1, 2) of windows i, summed: twice as long."""
    zero = jnp.zeros_like(jax.lax.slice_in_dim(first, 0, 1, axis=axis))
    if before:
        # The third of a window is the first of the next; the first window's first lies outside.
        following = jax.lax.slice_in_dim(first, 1, None, axis=axis)
        pair = second, third + jnp.concatenate([following, zero], axis)
    else:
        previous = jax.lax.slice_in_dim(third, 0, -1, axis=axis)
        pair = first + jnp.concatenate([zero, previous], axis), second
    shape = list(first.shape)
    shape[axis] *= 2
    return jnp.stack(pair, axis + 1).reshape(shape)


max_pool3.defvjp(_forward, _backward)
