"""The points of a feature pyramid: levels fine to coarse, each row-major, as in `DenseOutputs`."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Points(NamedTuple):
    """Where the P points of all levels lie; numpy, so that level sizes are static under jit."""

    xy: np.ndarray  # f32[P, 2] in input pixels
    stride: np.ndarray  # f32[P] pixels from cell to cell
    level: np.ndarray  # i32[P] 0 = the finest level


def level_shapes(canvas_hw: tuple[int, int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Height and width in cells of every level of an image of (height, width) pixels."""
    h, w = canvas_hw
    return [(-(-h // s), -(-w // s)) for s in strides]


def points(canvas_hw: tuple[int, int], strides: Sequence[int]) -> Points:
    """Cell (i, j) of stride s stands for point (s j + s // 2, s i + s // 2) (FCOS, section 3.1)."""
    xy, stride, level = [], [], []
    for k, ((h, w), s) in enumerate(zip(level_shapes(canvas_hw, strides), strides, strict=True)):
        i, j = np.mgrid[:h, :w]
        xy.append(np.stack([j, i], axis=-1).reshape(-1, 2) * s + s // 2)
        stride.append(np.full(h * w, s))
        level.append(np.full(h * w, k))
    return Points(
        np.concatenate(xy).astype(np.float32),
        np.concatenate(stride).astype(np.float32),
        np.concatenate(level).astype(np.int32),
    )


def inside(grid: Points, valid_hw: jax.Array) -> jax.Array:
    """Points bool[P] that a photograph of (height, width) i32[2] would have without its padding.

    These are the cells that begin inside it; their points may lie beyond its last row or column.
    """
    corner = grid.xy - grid.stride[:, None] // 2
    return jnp.all(corner < jnp.flip(valid_hw), axis=-1)
