"""What the dense detector should say at every pyramid point (FCOS with centre sampling)."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sor_jax.ops import boxes
from sor_jax.ops.grid import Points
from sor_jax.structures import Boxes

# Longest distance in pixels to a side of the box that a level answers for. Both ends belong to it.
SIZE_RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, float("inf")))
CENTER_RADIUS = 1.5  # strides


class FcosTargets(NamedTuple):
    """Targets of one image; apart from `positive`, they mean something at positive points only."""

    positive: jax.Array  # bool[P]
    gt_index: jax.Array  # i32[P] object whose box the point should find
    ltrb: jax.Array  # f32[P, 4] distances to its sides in strides, > 0
    centerness: jax.Array  # f32[P] 0..1


def fcos_targets(
    gt: Boxes,
    points: Points,
    *,
    size_ranges: Sequence[tuple[float, float]] = SIZE_RANGES,
    center_radius: float = CENTER_RADIUS,
) -> FcosTargets:
    """Gives each point the smallest box (equal: the first) for which it is positive.

    A point is positive for a box when it lies strictly inside the box's centre region, which is cut
    to the box, and its longest distance to a side is in the level's range. `gt` holds one image's
    boxes [M]. No gradient flows back.

    Args:
      gt: boxes of one image, in pixels; padded ones are given to no point.
      points: of all levels, xy in the same pixels.
      size_ranges: (shortest, longest) in pixels, one of each level.
      center_radius: half the side of the centre region, in strides of the point's level.

    Raises:
      ValueError: there are more levels than size_ranges.
    """
    if points.level.max() >= len(size_ranges):
        raise ValueError(
            f"the grid has {points.level.max() + 1} levels but size_ranges {len(size_ranges)}: "
            "give one range a level"
        )
    xyxy = jax.lax.stop_gradient(gt.xyxy)
    ltrb = boxes.distances(points.xy[:, None], xyxy)  # [P, M, 4] pixels
    low, high = jnp.asarray(size_ranges, jnp.float32)[points.level].T
    longest = ltrb.max(axis=-1)
    suits = (low[:, None] <= longest) & (longest <= high[:, None])
    candidate = _in_center_region(points, xyxy, center_radius) & suits & gt.valid  # [P, M]

    gt_index = jnp.argmin(jnp.where(candidate, boxes.area(xyxy), jnp.inf), axis=1)
    positive = candidate.any(axis=1)
    ltrb = jnp.take_along_axis(ltrb, gt_index[:, None, None], axis=1)[:, 0]
    ltrb = jnp.where(positive[:, None], ltrb / points.stride[:, None], 1.0)
    return FcosTargets(positive, gt_index.astype(jnp.int32), ltrb, centerness(ltrb))


def centerness(ltrb: jax.Array) -> jax.Array:
    """f32[...]: 1 in the middle of a box, 0 at its sides (FCOS, eq. 3); ltrb f32[..., 4] > 0."""
    left, top, right, bottom = jnp.moveaxis(ltrb, -1, 0)
    horizontal = jnp.minimum(left, right) / jnp.maximum(left, right)
    vertical = jnp.minimum(top, bottom) / jnp.maximum(top, bottom)
    return jnp.sqrt(horizontal * vertical)


def _in_center_region(points: Points, xyxy: jax.Array, radius: float) -> jax.Array:
    """bool[P, M]: within `radius` strides of the box's centre and inside the box, both strictly."""
    center = (xyxy[:, :2] + xyxy[:, 2:]) / 2  # [M, 2]
    reach = (radius * points.stride)[:, None, None]  # [P, 1, 1]
    region = jnp.concatenate(
        [jnp.maximum(center - reach, xyxy[:, :2]), jnp.minimum(center + reach, xyxy[:, 2:])],
        axis=-1,
    )
    return boxes.distances(points.xy[:, None], region).min(axis=-1) > 0
