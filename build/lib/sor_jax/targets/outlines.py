"""Objects seen through regions, from their polygons."""

import jax
import jax.numpy as jnp

from sor_jax.ops import polygons as ops
from sor_jax.structures import Polygons

_SHORTEST = 0.1  # pixels


def crop_polygons(polygons: Polygons, xyxy, gt_index, *, side: int, max_hw, whole_pixels: bool):
    """The matched object of each region of one image.

    Its polygons are moved and scaled to the region (whose sides count as 0.1 at least) and filled
    as the COCO API does.

    Args:
      polygons: of M objects.
      xyxy: f32[R, 4] regions.
      gt_index: i32[R] into the M objects.
      side: cells a side of the crop.
      max_hw: size of the network's input.
      whole_pixels: take for the area in a region the pixels that the polygons' parts fill, counted
        from its corner, its sides cut to whole pixels, as the original does. What an object has
        outside of the photograph may then be missing.

    Returns:
      (bool[R, side, side], share f32[R] of the object's area that lies in the region, about 0..1).
    """
    objects = jax.tree.map(lambda x: x[gt_index], polygons)
    part, valid = objects.part, objects.valid
    moved = objects.edges - jnp.tile(xyxy[:, None, :2], 2)
    size = xyxy[:, 2:] - xyxy[:, :2]
    scaled = moved * jnp.tile(side / jnp.maximum(size, _SHORTEST), 2)[:, None]
    crops = jax.vmap(lambda *polygon: ops.fill(*polygon, side=side))(scaled, part, valid)

    if whole_pixels:
        # An object as large as the input reaches into one more pixel when it is moved.
        reach = tuple(length + 1 for length in max_hw)
        hw = size[:, ::-1].astype(jnp.int32)
        # One after the other: several regions at once do not fit into a processor's cache.
        inside = jax.lax.map(
            lambda region: ops.count_cells(*region, max_hw=reach), (moved, part, valid, hw)
        )
    else:
        inside = jax.vmap(ops.area_inside)(moved, valid, size[:, ::-1])
    whole = jax.vmap(ops.area)(moved, valid)  # moved: float32 has more places left
    return crops, inside / jnp.where(whole > 0, whole, 1.0)
