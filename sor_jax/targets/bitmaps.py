"""Objects seen through regions, from their bitmaps."""

import jax
import jax.numpy as jnp

_REGIONS_AT_ONCE = 4


def crop_bitmaps(masks, xyxy, gt_index, valid_hw, *, side: int, whole_pixels: bool):
    """The matched object of each region of one image.

    The crop is an adaptive, half-pixel aligned RoIAlign of the bitmap at stride 1, set where it is
    >= 0.5. Bilinear sampling is separable, so a crop is two small matrix products.

    Args:
      masks: u8[M, H, W] 0 or 1.
      xyxy: f32[R, 4] regions; a region with a side <= 0 gives an empty crop.
      gt_index: i32[R] into the M objects.
      valid_hw: i32[2] size of the photograph inside the padding.
      side: cells a side of the crop.
      whole_pixels: cut the sides of a region to whole pixels where the share is counted.

    Returns:
      (bool[R, side, side], share f32[R] of the object's pixels that lie in the region, in 0 .. 1).
    """
    slots = xyxy.shape[0]
    size = min(_REGIONS_AT_ONCE, slots)
    most = max(-(-length // side) for length in masks.shape[1:])
    rows, columns = (
        _sampling(xyxy[:, i], xyxy[:, i + 2], valid_hw[1 - i], masks.shape[2 - i], side, most)
        for i in (1, 0)
    )

    def crop(box, index, rows, columns):
        mask = masks[index].astype(jnp.float32)
        extent = box[2:] - box[:2]
        end = box[:2] + (jnp.floor(extent) if whole_pixels else extent)
        within_y = _coverage(box[1], end[1], mask.shape[0])
        within_x = _coverage(box[0], end[0], mask.shape[1])
        share = (within_y @ mask @ within_x) / jnp.maximum(jnp.sum(mask), 1.0)
        return rows @ mask @ columns.T >= 0.5, share

    def add(i, results):
        start = jnp.minimum(i * size, slots - size)
        own = (
            jax.lax.dynamic_slice_in_dim(x, start, size) for x in (xyxy, gt_index, rows, columns)
        )
        return tuple(
            jax.lax.dynamic_update_slice_in_dim(result, new, start, 0)
            for result, new in zip(results, jax.vmap(crop)(*own), strict=True)
        )

    # Empty regions, which mostly lie behind the others, have empty crops.
    some = jnp.all(xyxy[:, 2:] > xyxy[:, :2], axis=1)
    count = jnp.max(jnp.where(some, jnp.arange(slots) // size + 1, 0))
    nothing = jnp.zeros((slots, side, side), bool), jnp.zeros(slots)
    return jax.lax.fori_loop(0, count, add, nothing)


def _sampling(start, end, cells, size, side, most):
    """f32[R, side, size]: how much each pixel of an axis counts in each bin of [start, end]."""
    start, step = start[:, None], ((end - start) / side)[:, None]
    count = jnp.ceil(jnp.maximum(step, 0.0)).astype(jnp.int32)
    bins, pixels = jnp.arange(side), jnp.arange(size)

    def add(n, weights):
        at = start - 0.5 + (bins + (n + 0.5) / jnp.maximum(count, 1)) * step
        reads = (at >= -1.0) & (at <= cells) & (n < count)
        at = jnp.clip(at, 0.0, cells - 1.0)
        hat = jnp.maximum(1.0 - jnp.abs(at[..., None] - pixels), 0.0)
        return weights + jnp.where(reads[..., None], hat, 0.0)

    weights = jnp.zeros((len(start), side, size))
    weights = jax.lax.fori_loop(0, jnp.minimum(jnp.max(count), most), add, weights)
    return weights / jnp.maximum(count, 1)[..., None]


def _coverage(start, end, size):
    """f32[size]: the share of each pixel of an axis that lies in [start, end]."""
    pixels = jnp.arange(size)
    return jnp.clip(jnp.minimum(end, pixels + 1.0) - jnp.maximum(start, pixels), 0.0, 1.0)
