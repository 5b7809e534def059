"""Where the edges of a polygon pass from column to column, to the cell as in the COCO API.

The rule (pycocotools): vertices are rounded to fifths of a cell; an edge is walked along its longer
axis in steps of one fifth while the other coordinate is rounded; the step from fifth 5 c + 2 of x
to fifth 5 c + 3, or back, toggles column c from the upper of its two rows downwards.

All of it is integer arithmetic, so every platform gives the same cells. The original walks in
float64; its rounding matters where the exact result is a tie, see `_tie_falls`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NEVER = FARTHEST = 2**13  # fifths; larger ones would not multiply within int32

# The least float32 whose fifth is rounded up, and up again.
_TENTHS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
_UP = np.where(np.float32(_TENTHS) < _TENTHS, np.nextafter(np.float32(_TENTHS), 1), _TENTHS)


def toggles(edges, valid, columns):
    """The row from which each edge toggles each column, downwards.

    Args:
      edges: f32[E, 4] x0 y0 x1 y1 in cells; coordinates beyond +-1638 are moved to there.
      valid: bool[E].
      columns: i32[W], at least 0.

    Returns:
      i32[E, W], at least 0, NEVER where the edge does not cross the column's middle.
    """
    fifths = jnp.clip(_fifths(edges), -FARTHEST, FARTHEST)
    x0, y0, x1, y1 = jnp.moveaxis(fifths, -1, 0)[..., None]
    wide = jnp.abs(x1 - x0) >= jnp.abs(y1 - y0)
    walk = _walk(*(jnp.where(wide, a, b) for a, b in ((x0, y0), (y0, x0), (x1, y1), (y1, x1))))
    middle = 5 * columns + 2
    crosses = (jnp.minimum(x0, x1) <= middle) & (middle < jnp.maximum(x0, x1)) & valid[:, None]
    y = jnp.where(wide, _reached(walk, middle), _last_before(walk, middle + 1))
    return jnp.where(crosses, (jnp.maximum(y, 0) + 2) // 5, NEVER)


class _Walk(NamedTuple):
    """How edges are walked: from (start, other), `length` steps along, i32[E, 1] each."""

    start: jax.Array
    other: jax.Array
    length: jax.Array  # at least 1
    rise: jax.Array  # what `other` changes by, at most the length, with its sign
    error: jax.Array  # of |rise| / length in float64, in units of its last place / length
    exponent: jax.Array  # of |rise| / length in float64


def _walk(start, other, end, other_end):
    back = start > end
    start, end = jnp.where(back, end, start), jnp.where(back, start, end)
    other, other_end = jnp.where(back, other_end, other), jnp.where(back, other, other_end)
    length, rise = jnp.maximum(end - start, 1), other_end - other
    size = jnp.maximum(jnp.abs(rise), 1)
    exponent = _bit_length(size) - _bit_length(length)
    exponent -= size << -exponent < length
    # The mantissa is size * 2 ** (52 - exponent) / length; its remainder is the error.
    power = 2**13 % length
    power = power * power % length
    power = power * power % length
    left = size * (power * (1 << -exponent) % length) % length
    error = jnp.where(2 * left < length, -left, length - left)
    return _Walk(start, other, length, rise, error, exponent)


def _reached(walk, middle):
    """The upper of the rows, in fifths, at fifths `middle` and `middle` + 1 of wide edges."""
    steps = middle - walk.start + (walk.rise < 0)
    twice = 2 * walk.rise * steps + (2 * walk.other + 1) * walk.length
    y, left = _divide(twice, 2 * walk.length)
    return y - ((left == 0) & _tie_falls(walk, steps, y))


def _last_before(walk, to):
    """The last row, in fifths, before tall edges pass between fifths `to` - 1 and `to`."""
    twice = jnp.sign(walk.rise) * (2 * (to - walk.other) - 1) * walk.length
    steps, left = _divide(twice, 2 * jnp.maximum(jnp.abs(walk.rise), 1))
    # After so many steps a tie is at `to`, unless it falls: too late when rising to it.
    too_late = (left == 0) & (_tie_falls(walk, steps, to) == (walk.rise < 0))
    return walk.start + steps - too_late


def _tie_falls(walk, steps, to):
    """Whether other + rise / length * steps + 1/2, exactly `to`, is less than that in float64.

    The product is off by one in its last place where the slope's error, grown with the steps, is
    above one half there. The sums keep that if their exponent is not above the product's.
    """
    product = jnp.abs(2 * (to - walk.other) - 1)  # twice its size
    exponent = _bit_length(product) - 2
    lower = walk.error * jnp.sign(walk.rise) < 0
    off = 2 * jnp.abs(walk.error) * steps > walk.length << (exponent - walk.exponent)
    kept = _bit_length(2 * jnp.maximum(to, 1) - 1) <= exponent + 2
    return lower & off & kept


def _fifths(x):
    """i32: 5 x + 1/2 without its fraction, as if computed without rounding."""
    size = jnp.abs(x)
    whole = jnp.floor(size)
    ups = jnp.sum((size - whole)[..., None] >= np.float32(_UP), axis=-1, dtype=jnp.int32)
    nearest = 5 * jnp.minimum(whole, FARTHEST).astype(jnp.int32) + ups
    return jnp.where(x < 0, -jnp.maximum(nearest - 1, 0), nearest)


def _bit_length(n):
    return 32 - jax.lax.clz(n)


def _divide(n, d):
    """Quotient, rounded down, and remainder of i32 n / d for d > 0 and quotients below 2**22.

    By float32, as processors have no integer division of many numbers at once.
    """
    quotient = jnp.floor(n.astype(jnp.float32) / d.astype(jnp.float32)).astype(jnp.int32)
    left = n - quotient * d
    quotient += (left >= d).astype(jnp.int32) - (left < 0)
    return quotient, n - quotient * d
