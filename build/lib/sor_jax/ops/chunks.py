"""Functions of regions, applied to a few slots at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from sor_jax.structures import Boxes


def in_chunks(function: Callable, boxes: Boxes, *, size: int):
    """function(boxes [B, size]) -> tree, over R slots; zeros for chunks without a valid slot.

    Memory is that of one chunk, and on the device empty ones are skipped.

    Args:
      function: pure.
      boxes: [B, R].
      size: slots a chunk, at most.

    Returns:
      The tree. Leaves with the axes [B, size, ..] come back as [B, R, ..], scalars as one number a
      chunk.
    """
    batch, slots = boxes.valid.shape
    size = min(size, slots)
    num_chunks = -(-slots // size)
    extra = num_chunks * size - slots

    def split(x):
        x = jnp.pad(x, ((0, 0), (0, extra)) + ((0, 0),) * (x.ndim - 2))
        return jnp.moveaxis(x.reshape(batch, num_chunks, size, *x.shape[2:]), 1, 0)

    def join(x):
        if x.ndim == 1:
            return x
        return jnp.moveaxis(x, 0, 1).reshape(batch, num_chunks * size, *x.shape[3:])[:, :slots]

    def step(_, boxes):
        shapes = jax.eval_shape(function, boxes)
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return None, jax.lax.cond(jnp.any(boxes.valid), function, lambda _: empty, boxes)

    _, outputs = jax.lax.scan(step, None, jax.tree.map(split, boxes))
    return jax.tree.map(join, outputs)
