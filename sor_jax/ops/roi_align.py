"""RoIAlign over a pyramid: each region is pooled from one level by a bilinear gather.

Sampling is adaptive: ceil(side in cells / out) points per bin and axis. The points of a bin are
walked by one flat index, so nothing is padded to the largest number of points per axis, and the
walk stops at what the regions at hand need.

The gradient is no scatter, which is slow on accelerators. Pooling weighs rows and columns apart,
so its transpose is two matrix products with these weights.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

CANONICAL_SIDE, CANONICAL_LEVEL = 224.0, 4


def assign_levels(xyxy, valid_hw, *, levels: tuple[int, ...], rule: str):
    """Chooses the pyramid level that each region is pooled from.

    Args:
      xyxy: f32[..., R, 4] boxes in pixels.
      valid_hw: i32[..., 2] size of the photograph inside the padding.
      levels: numbers of the levels to choose from, rising, e.g. (3, 4, 5).
      rule: "area_ratio", CenterMask's k = ceil(k_max - log2(image area / box area)), or "fpn",
        k = floor(4 + log2(sqrt(box area) / 224 + 1e-8)); both clipped to `levels`.

    Returns:
      i32[..., R] index into `levels`.
    """
    area = jnp.prod(jnp.maximum(xyxy[..., 2:] - xyxy[..., :2], 0.0), axis=-1)
    if rule == "area_ratio":
        image_area = jnp.prod(valid_hw.astype(jnp.float32), axis=-1)[..., None]
        above = [area * 2.0 ** (levels[-1] - k + 1) > image_area for k in levels[1:]]
    elif rule == "fpn":
        side = jnp.sqrt(area) / CANONICAL_SIDE + 1e-8
        above = [side >= 2.0 ** (k - CANONICAL_LEVEL) for k in levels[1:]]
    else:
        raise ValueError(f"level rule is {rule!r}; expected 'area_ratio' or 'fpn'")
    return sum((a.astype(jnp.int32) for a in above), jnp.zeros(area.shape, jnp.int32))


def max_points(
    canvas_hw: tuple[int, int], *, levels: tuple[int, ...], out: int, rule: str, extent: float = 1.0
) -> tuple[int, ...]:
    """The most points per bin that any box can need, level by level.

    Args:
      canvas_hw: height and width of the padded input.
      levels: numbers of the levels; level k has stride 2**k.
      out: side of the pooled region.
      rule: as of assign_levels.
      extent: boxes are at most this many times the input high and wide; 1 for clipped boxes.
    """
    return tuple(_level_points(canvas_hw, levels, k, out, rule, extent) for k in levels)


def _level_points(canvas_hw, levels, level, out, rule, extent):
    bin_side = 2**level * out
    if level == levels[-1]:
        area = math.inf
    elif rule == "area_ratio":
        area = canvas_hw[0] * canvas_hw[1] / 2 ** (levels[-1] - level)
    else:
        area = (CANONICAL_SIDE * 2.0 ** (level + 1 - CANONICAL_LEVEL)) ** 2
    # ky x kx points are met by boxes just above (ky - 1) x (kx - 1) bins of one point each.
    rows, columns = (math.ceil(extent * side / bin_side) for side in canvas_hw)
    pairs = ((y, x) for y in range(rows) for x in range(columns) if y * x * bin_side**2 < area)
    return max((y + 1) * (x + 1) for y, x in pairs)


def roi_align(features, xyxy, level, valid_hw, *, strides, out: int, points: int):
    """Pools each region from its level, half-pixel aligned.

    A point whose index (coordinate in cells - 0.5) is below -1 or above the number of cells reads
    0, nearer ones clamp to the border; a region with a side <= 0 gives 0. Cells outside the
    photograph are never read. No gradient flows to the boxes.

    Args:
      features: list of [B, h, w, C], one per level.
      xyxy: f32[B, R, 4] boxes in pixels; those in padded slots give finite junk.
      level: i32[B, R] index into `features`.
      valid_hw: i32[B, 2] size of the photograph inside the padding.
      strides: pixels per cell of each level.
      out: bins per side.
      points: bound on the points per bin (max_points); a region that needs more is sampled with
        floor(sqrt(points)) per axis.

    Returns:
      ([B, R, out, out, C] in the features' dtype, bool[B, R] True where `points` was too small).
    """
    xyxy = jax.lax.stop_gradient(xyxy)
    stride = jnp.asarray(strides)[level]
    scaled = xyxy / stride[..., None].astype(jnp.float32)
    sides = scaled[..., 3] - scaled[..., 1], scaled[..., 2] - scaled[..., 0]
    counts = [jnp.ceil(jnp.maximum(side / out, 0.0)).astype(jnp.int32) for side in sides]
    too_many = counts[0] * counts[1] > points
    cells = -(-valid_hw[:, None] // stride[..., None])
    rows, columns = (
        _Axis(
            scaled[..., 1 - axis] - 0.5,
            sides[axis] / out,
            jnp.where(too_many, math.isqrt(points), counts[axis]),
            cells[..., axis],
        )
        for axis in (0, 1)
    )
    return _pool(list(features), level, rows, columns, out), too_many


class _Axis(NamedTuple):
    """Where the regions are sampled along one axis; each [B, R]."""

    origin: jax.Array  # f32 index of the first bin's border
    bin: jax.Array  # f32 cells a bin
    points: jax.Array  # i32 a bin
    cells: jax.Array  # i32 cells inside the photograph

    def point(self, number, out):
        """The index f32[B, R, out] of one point of every bin, and whether it reads there."""
        share = (number + 0.5) / jnp.maximum(self.points, 1)
        bins = jnp.arange(out) + share[..., None]
        at = self.origin[..., None] + bins * self.bin[..., None]
        cells = self.cells[..., None]
        return jnp.clip(at, 0.0, cells - 1.0), (at >= -1.0) & (at <= cells)

    def corners(self, number, out):
        """The two cells and weights, each [B, R, out], of one point of every bin."""
        at, reads = self.point(number, out)
        low = jnp.floor(at).astype(jnp.int32)
        high = jnp.minimum(low + 1, self.cells[..., None] - 1)
        far = at - low
        return (low, jnp.where(reads, 1.0 - far, 0.0)), (high, jnp.where(reads, far, 0.0))

    def weights(self, out, size):
        """f32[B, R, out, size]: what each bin takes of each cell, all its points together."""
        cell = jnp.arange(size)

        def add(number, total):
            at, reads = self.point(number, out)
            reads &= (number < self.points)[..., None]
            hat = jnp.maximum(1.0 - jnp.abs(at[..., None] - cell), 0.0)
            return total + jnp.where(reads[..., None], hat, 0.0)

        total = jnp.zeros((*self.points.shape, out, size), jnp.float32)
        total = jax.lax.fori_loop(0, jnp.max(self.points), add, total)
        return total / jnp.maximum(self.points, 1)[..., None, None]


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _pool(features, level, rows, columns, out):
    """[B, R, out, out, C]: the mean of the points of every bin."""
    table = jnp.concatenate([f.reshape(f.shape[0], -1, f.shape[-1]) for f in features], axis=1)
    sizes = [f.shape[1] * f.shape[2] for f in features]
    start = jnp.asarray([sum(sizes[:i]) for i in range(len(sizes))])[level]
    width = jnp.asarray([f.shape[2] for f in features])[level]
    total = rows.points * columns.points

    def add(n, accumulated):
        across = jnp.maximum(columns.points, 1)
        active = (n < total)[..., None, None]
        for index_y, weight_y in rows.corners(n // across, out):
            for index_x, weight_x in columns.corners(n % across, out):
                weight = weight_y[..., :, None] * weight_x[..., None, :]
                index = index_y[..., :, None] * width[..., None, None]
                index = index + index_x[..., None, :] + start[..., None, None]
                read = jax.vmap(lambda t, i: t[i])(table, index)
                weight = jnp.where(active, weight, 0.0)[..., None]
                accumulated = accumulated + weight * read.astype(jnp.float32)
        return accumulated

    pooled = jnp.zeros((*level.shape, out, out, table.shape[-1]), jnp.float32)
    pooled = jax.lax.fori_loop(0, jnp.max(total), add, pooled)
    return (pooled / jnp.maximum(total, 1)[..., None, None, None]).astype(table.dtype)


def _forward(features, level, rows, columns, out):
    like = [jnp.zeros((0, *f.shape[1:]), f.dtype) for f in features]  # shapes and dtypes
    return _pool(features, level, rows, columns, out), (like, level, rows, columns)


def _backward(out, residuals, cotangent):
    """The transpose: each bin's cotangent, spread over the cells that it takes from."""
    like, level, rows, columns = residuals
    product = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    cotangent = cotangent.astype(jnp.float32)
    spread = []
    for k, feature in enumerate(like):
        _, h, w, _ = feature.shape
        here = (level == k)[..., None, None]
        down = jnp.where(here, rows.weights(out, h), 0.0)
        across = jnp.where(here, columns.weights(out, w), 0.0)
        tall = product("brih,brijc->brhjc", down, cotangent)
        spread.append(product("brhjc,brjw->bhwc", tall, across).astype(feature.dtype))
    return spread, None, None, None


_pool.defvjp(_forward, _backward)
