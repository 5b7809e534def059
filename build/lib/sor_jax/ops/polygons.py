"""Fills polygons cell for cell as the COCO API (pycocotools) does, and measures them.

An object is some parts, each a closed polygon. A part covers the cells that its edges toggle an odd
number of times (polygon_walk.toggles); the object covers what any of its parts does. Columns of
cells are held as bits, so that toggling is one operation for 32 rows.

In all functions, edges are f32[E, 4] x0 y0 x1 y1, part is i32[E], the part that an edge belongs to,
from 0, and valid is bool[E].
"""

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.ops.polygon_walk import NEVER, toggles

_WORD = 32


def fill(edges, part, valid, *, side: int):
    """bool[side, side]: the cells of a grid from the origin that an object covers; side <= 32."""
    if side > _WORD:
        raise ValueError(f"side is {side}; at most {_WORD} rows are filled")
    bits = _bits_from(toggles(edges, valid, jnp.arange(side)))

    def add(index, union):
        return union | _xor(jnp.where((part == index)[:, None], bits, 0))

    union = jax.lax.fori_loop(0, _num_parts(part, valid), add, jnp.zeros(side, jnp.uint32))
    return (union >> jnp.arange(side, dtype=jnp.uint32)[:, None]) & 1 == 1


def count_cells(edges, part, valid, hw, *, max_hw: tuple[int, int]):
    """i32[]: how many cells of the grid hw i32[2] each part of an object covers, summed.

    An object larger than `max_hw` is counted as far as that reaches from its upper left.
    """
    corner = jnp.min(jnp.where(valid[:, None], edges.reshape(-1, 2, 2).min(axis=1), jnp.inf), 0)
    corner = jnp.clip(jnp.floor(corner), 0, NEVER // 2).astype(jnp.int32)  # x y
    columns = corner[0] + jnp.arange(max_hw[1])
    words = corner[1] + _WORD * jnp.arange(-(-max_hw[0] // _WORD))  # their first rows
    rows = toggles(edges, valid, columns)
    inside = jnp.where(columns < hw[1], ~_bits_from(hw[0] - words[:, None]), 0)

    def add(index, count):
        of_part = jnp.where((part == index)[:, None], rows, 2 * NEVER)
        filled = jax.vmap(lambda first: _xor(_bits_from(of_part - first)))(words) & inside
        return count + jnp.sum(jax.lax.population_count(filled), dtype=jnp.int32)

    return jax.lax.fori_loop(0, _num_parts(part, valid), add, jnp.int32(0))


def area(edges, valid):
    """f32[]: by the shoelace formula, of parts whose own areas are positive."""
    x0, y0, x1, y1 = jnp.where(valid[:, None], edges, 0.0).T
    return jnp.sum(x0 * y1 - x1 * y0) / 2


def area_inside(edges, valid, hw):
    """f32[]: that share of `area` which lies in the rectangle from the origin to hw f32[2].

    Edges are cut where they meet the lines through its sides; then every end goes to the nearest
    point of the rectangle, which does not change how the edges wind around what is inside.
    """
    x0, y0, x1, y1 = jnp.where(valid[:, None], edges, 0.0).T
    dx, dy = x1 - x0, y1 - y0

    def cut(start, step, line):
        return jnp.clip((line - start) / jnp.where(step == 0, 1.0, step), 0.0, 1.0)

    cuts = [cut(x0, dx, 0.0), cut(x0, dx, hw[1]), cut(y0, dy, 0.0), cut(y0, dy, hw[0])]
    at = jnp.sort(jnp.stack([jnp.zeros_like(x0), *cuts, jnp.ones_like(x0)]), axis=0)
    x = jnp.clip(x0 + at * dx, 0.0, hw[1])
    y = jnp.clip(y0 + at * dy, 0.0, hw[0])
    return jnp.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2


def _num_parts(part, valid):
    return jnp.max(jnp.where(valid, part, -1), initial=-1) + 1


def _bits_from(row):
    """u32: the first 32 rows as bits, set from `row` on."""
    row = jnp.clip(row, 0, _WORD).astype(jnp.uint32)
    return jnp.where(row < _WORD, np.uint32(2**_WORD - 1) << jnp.minimum(row, _WORD - 1), 0)


def _xor(bits):
    """u32[W] from u32[E, W]."""
    return jax.lax.reduce(bits, np.uint32(0), jax.lax.bitwise_xor, (0,))
