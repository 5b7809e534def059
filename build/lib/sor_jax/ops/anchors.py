"""The boxes that a region proposal network starts from (Faster R-CNN and FPN papers)."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.ops import grid

RATIOS = (0.5, 1.0, 2.0)  # height / width


class Anchors(NamedTuple):
    """The A anchors of all levels, fine to coarse, each level row-major, a cell's ratios together.

    Numpy, so that level sizes are static under jit.
    """

    xyxy: np.ndarray  # f32[A, 4] input pixels
    level: np.ndarray  # i32[A] 0 = the finest level
    points: grid.Points  # their cells, [A / ratios]


def anchors(
    canvas_hw: tuple[int, int],
    strides: Sequence[int],
    sides: Sequence[float],
    *,
    ratios: Sequence[float] = RATIOS,
) -> Anchors:
    """Anchors of area sides[k] ** 2 around the upper left corner of every cell of level k."""
    points = grid.points(canvas_hw, strides)
    corner = points.xy - points.stride[:, None] // 2
    xyxy = []
    for level, side in enumerate(sides):
        width = side / np.sqrt(ratios)
        half = np.stack([width, width * ratios], axis=-1) / 2
        around = np.concatenate([-half, half], axis=-1).astype(np.float32)
        at = np.tile(corner[points.level == level], 2)
        xyxy.append((at[:, None] + around).reshape(-1, 4))
    return Anchors(np.concatenate(xyxy), np.repeat(points.level, len(ratios)), points)


def inside(anchors: Anchors, valid_hw: jax.Array) -> jax.Array:
    """Anchors bool[A] that a photograph of (height, width) i32[2] would have without its padding.

    They may reach beyond it.
    """
    per_cell = len(anchors.level) // len(anchors.points.level)
    return jnp.repeat(grid.inside(anchors.points, valid_hw), per_cell)
