"""RoIAlign over a pyramid: each region is pooled from one level by a bilinear gather.

Sampling is adaptive: ceil(side in cells / out) points per bin and axis. The points of a bin are
walked by one flat index, so nothing is padded to the largest number of points per axis, and the
walk stops at what the regions at hand need.
"""

import functools
import math

import jax
import jax.numpy as jnp

CANONICAL_SIDE, CANONICAL_LEVEL = 224.0, 4


def assign_levels(xyxy, image_hw, *, levels: tuple[int, ...], rule: str):
    """Chooses the pyramid level that each region is pooled from.

    Args:
      xyxy: f32[..., R, 4] boxes in pixels.
      image_hw: i32[..., 2] size of the photograph inside the padding.
      levels: numbers of the levels to choose from, rising, e.g. (3, 4, 5).
      rule: "area_ratio", CenterMask's k = ceil(k_max - log2(image area / box area)), or "fpn",
        k = floor(4 + log2(sqrt(box area) / 224 + 1e-8)); both clipped to `levels`.

    Returns:
      i32[..., R] index into `levels`.
    """
    area = jnp.prod(jnp.maximum(xyxy[..., 2:] - xyxy[..., :2], 0.0), axis=-1)
    if rule == "area_ratio":
        image_area = jnp.prod(image_hw.astype(jnp.float32), axis=-1)[..., None]
        above = [area * 2.0 ** (levels[-1] - k + 1) > image_area for k in levels[1:]]
    elif rule == "fpn":
        side = jnp.sqrt(area) / CANONICAL_SIDE + 1e-8
        above = [side >= 2.0 ** (k - CANONICAL_LEVEL) for k in levels[1:]]
    else:
        raise ValueError(f"level rule is {rule!r}; expected 'area_ratio' or 'fpn'")
    return sum((a.astype(jnp.int32) for a in above), jnp.zeros(area.shape, jnp.int32))


def max_points(
    image_hw: tuple[int, int], *, levels: tuple[int, ...], out: int, rule: str, extent: float = 1.0
) -> tuple[int, ...]:
    """The most points per bin that any box can need, level by level.

    Args:
      image_hw: height and width of the padded input.
      levels: numbers of the levels; level k has stride 2**k.
      out: side of the pooled region.
      rule: as of assign_levels.
      extent: boxes are at most this many times the input high and wide; 1 for clipped boxes.
    """
    return tuple(_level_points(image_hw, levels, k, out, rule, extent) for k in levels)


def _level_points(image_hw, levels, level, out, rule, extent):
    bin_side = 2**level * out
    if level == levels[-1]:
        area = math.inf
    elif rule == "area_ratio":
        area = image_hw[0] * image_hw[1] / 2 ** (levels[-1] - level)
    else:
        area = (CANONICAL_SIDE * 2.0 ** (level + 1 - CANONICAL_LEVEL)) ** 2
    # ky x kx points are met by boxes just above (ky - 1) x (kx - 1) bins of one point each.
    rows, columns = (math.ceil(extent * side / bin_side) for side in image_hw)
    pairs = ((y, x) for y in range(rows) for x in range(columns) if y * x * bin_side**2 < area)
    return max((y + 1) * (x + 1) for y, x in pairs)


def roi_align(features, xyxy, level, image_hw, *, strides, out: int, points: int):
    """Pools each region from its level, half-pixel aligned.

    A point whose index (coordinate in cells - 0.5) is below -1 or above the number of cells reads
    0, nearer ones clamp to the border; a region with a side <= 0 gives 0. Cells outside the
    photograph are never read. No gradient flows to the boxes.

    Args:
      features: list of [B, h, w, C], one per level.
      xyxy: f32[B, R, 4] boxes in pixels; those in padded slots give finite junk.
      level: i32[B, R] index into `features`.
      image_hw: i32[B, 2] size of the photograph inside the padding.
      strides: pixels per cell of each level.
      out: bins per side.
      points: bound on the points per bin (max_points); a region that needs more is sampled with
        floor(sqrt(points)) per axis.

    Returns:
      ([B, R, out, out, C] in the features' dtype, bool[B, R] True where `points` was too small).
    """
    xyxy = jax.lax.stop_gradient(xyxy)
    table = jnp.concatenate([f.reshape(f.shape[0], -1, f.shape[-1]) for f in features], axis=1)
    grid = _Grid(features, xyxy, level, image_hw, strides, out)
    too_many = grid.ky * grid.kx > points
    side = math.isqrt(points)
    ky, kx = jnp.where(too_many, side, grid.ky), jnp.where(too_many, side, grid.kx)
    total = ky * kx
    most = jnp.max(total)

    def add(accumulated, n):
        rows = grid.axis(0, n // jnp.maximum(kx, 1), ky)
        columns = grid.axis(1, n % jnp.maximum(kx, 1), kx)
        active = (n < total)[..., None, None]
        for index_y, weight_y in rows:
            for index_x, weight_x in columns:
                weight = weight_y[..., :, None] * weight_x[..., None, :]
                index = index_y[..., :, None] * grid.width[..., None, None]
                index = index + index_x[..., None, :] + grid.start[..., None, None]
                read = jax.vmap(lambda t, i: t[i])(table, index)
                weight = jnp.where(active, weight, 0.0)[..., None]
                accumulated = accumulated + weight * read.astype(jnp.float32)
        return accumulated

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def step(accumulated, n):
        return jax.lax.cond(n < most, add, lambda a, _: a, accumulated, n), None

    shape = (*xyxy.shape[:2], out, out, table.shape[-1])
    pooled, _ = jax.lax.scan(step, jnp.zeros(shape, jnp.float32), jnp.arange(points))
    pooled = pooled / jnp.maximum(total, 1)[..., None, None, None]
    return pooled.astype(table.dtype), too_many


class _Grid:
    """The sampling grid of every region: i32 or f32 [B, R] per field."""

    def __init__(self, features, xyxy, level, image_hw, strides, out):
        sizes = [f.shape[1] * f.shape[2] for f in features]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        stride = jnp.asarray(strides)[level]
        self.out = out
        self.width = jnp.asarray([f.shape[2] for f in features])[level]
        self.start = jnp.asarray(starts)[level]
        cells = -(-image_hw[:, None] // stride[..., None])
        self.cells = cells[..., 0], cells[..., 1]
        scaled = xyxy / stride[..., None].astype(jnp.float32)
        self.origin = scaled[..., 1] - 0.5, scaled[..., 0] - 0.5
        self.bin = (scaled[..., 3] - scaled[..., 1]) / out, (scaled[..., 2] - scaled[..., 0]) / out
        self.ky, self.kx = (jnp.ceil(jnp.maximum(b, 0.0)).astype(jnp.int32) for b in self.bin)

    def axis(self, axis, sample, count):
        """The two cells and weights, each [B, R, out], of one sample of every bin on one axis."""
        share = (sample + 0.5) / jnp.maximum(count, 1)
        bins = jnp.arange(self.out) + share[..., None]
        at = self.origin[axis][..., None] + bins * self.bin[axis][..., None]
        cells = self.cells[axis][..., None]
        reads = (at >= -1.0) & (at <= cells)
        at = jnp.clip(at, 0.0, cells - 1.0)
        low = jnp.floor(at).astype(jnp.int32)
        high = jnp.minimum(low + 1, cells - 1)
        far = at - low
        return (
            (low, jnp.where(reads, 1.0 - far, 0.0)),
            (high, jnp.where(reads, far, 0.0)),
        )
