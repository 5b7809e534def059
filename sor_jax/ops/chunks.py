"""Functions of regions, applied to a few slots at a time."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from sor_jax.structures import Boxes


def in_chunks(function: Callable, weights, fixed, boxes: Boxes, *, size: int):
    """function(weights, fixed, boxes [B, size]) -> tree of floats, over R slots.

    Memory is that of one chunk, and on the device empty ones cost nothing when they come last. A
    gradient keeps what depends on the chunk and adds the weights' up in place.

    Args:
      function: pure; closes over no arrays.
      weights: tree of floats that gradients flow to.
      fixed: tree of arrays that none flow to.
      boxes: [B, R]; no gradient flows to them.
      size: slots a chunk, at most.

    Returns:
      The tree. Leaves with the axes [B, size, ..] come back as [B, R, ..], scalars as one number a
      chunk; junk in padded slots, zeros in chunks behind the last valid slot.
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

    return jax.tree.map(join, _walk(function, weights, fixed, jax.tree.map(split, boxes)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _walk(function, weights, fixed, chunks):
    """The function's outputs of all chunks, one behind the other."""

    def step(_, boxes):
        run = functools.partial(function, weights, fixed)
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(run, boxes))
        return None, jax.lax.cond(jnp.any(boxes.valid), run, lambda _: empty, boxes)

    return jax.lax.scan(step, None, chunks)[1]


def _forward(function, weights, fixed, chunks):
    shared = jax.tree.leaves((weights, fixed))
    places = {id(leaf): place for place, leaf in enumerate(shared)}
    split = _Split()

    def linear(boxes):
        outputs, pullback = jax.vjp(lambda weights: function(weights, fixed, boxes), weights)
        return outputs, split(pullback, places)

    first = jax.tree.map(lambda x: x[0], chunks)
    num_chunks = len(chunks.valid)
    start = jax.tree.map(
        lambda leaf: jnp.zeros((num_chunks, *leaf.shape), leaf.dtype),
        jax.eval_shape(linear, first),
    )
    count = jnp.max(jnp.where(chunks.valid.any((1, 2)), jnp.arange(num_chunks) + 1, 0))

    def step(i, rows):
        own = linear(jax.tree.map(lambda x: _row(x, i), chunks))
        return jax.tree.map(
            lambda x, row: jax.lax.dynamic_update_index_in_dim(x, row, i, 0), rows, own
        )

    outputs, kept = jax.lax.fori_loop(0, count, step, start)
    return outputs, (weights, fixed, count, kept, jax.tree_util.Partial(split.join))


def _backward(function, residuals, cotangents):
    weights, fixed, count, kept, join = residuals
    shared = jax.tree.leaves((weights, fixed))

    def add(i, total):
        own_kept, own = jax.tree.map(lambda x: _row(x, i), (kept, cotangents))
        return jax.tree.map(jnp.add, total, join(shared, own_kept)(own)[0])

    zeros = jax.tree.map(jnp.zeros_like, weights)
    return jax.lax.fori_loop(0, count, add, zeros), None, None


_walk.defvjp(_forward, _backward)


def _row(x, i):
    return jax.lax.dynamic_index_in_dim(x, i, keepdims=False)


class _Split:
    """A pullback of jax.vjp, taken apart: the arrays that belong to one chunk, and the rest."""

    def __call__(self, pullback, places: dict[int, int]):
        """The arrays but those of `places` {id: place among the shared}, each once."""
        leaves, self.tree = jax.tree.flatten(pullback)
        own: dict[int, jax.Array] = {}
        self.parts = []
        for leaf in leaves:
            if id(leaf) in places:
                self.parts.append(("shared", places[id(leaf)]))
            elif isinstance(leaf, jax.Array):
                own.setdefault(id(leaf), leaf)
                self.parts.append(("own", list(own).index(id(leaf))))
            else:
                self.parts.append(("static", leaf))
        return list(own.values())

    def join(self, shared, own):
        """The pullback again."""
        of = {"shared": shared.__getitem__, "own": own.__getitem__, "static": lambda leaf: leaf}
        return self.tree.unflatten([of[kind](value) for kind, value in self.parts])
