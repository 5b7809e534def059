"""What the mask and mask IoU heads should say of each region, from bitmaps of the objects."""

import jax
import jax.numpy as jnp

MASK_SIDE = 28
_REGIONS_AT_ONCE = 16


def mask_targets(masks, xyxy, gt_index, image_hw, *, whole_pixels: bool = False):
    """Crops the matched object of each region of one image to the region.

    The crop is an adaptive, half-pixel aligned RoIAlign of the bitmap at stride 1, set where it is
    >= 0.5. Bilinear sampling is separable, so a crop is two small matrix products.

    Args:
      masks: u8[M, H, W] 0 or 1.
      xyxy: f32[R, 4] regions; a region with a side <= 0 gives an empty crop.
      gt_index: i32[R] into the M objects.
      image_hw: i32[2] size of the photograph inside the padding.
      whole_pixels: cut the sides of a region to whole pixels where the share is counted, as the
        original does.

    Returns:
      (crop f32[R, 28, 28] 0 or 1, share f32[R] of the object's pixels that lie in the region, in
      1e-10 .. 1).
    """
    most = max(-(-side // MASK_SIDE) for side in masks.shape[1:])

    def crop(region):
        box, index = region
        mask = masks[index].astype(jnp.float32)
        rows = _sampling(box[1], box[3], image_hw[0], mask.shape[0], most)
        columns = _sampling(box[0], box[2], image_hw[1], mask.shape[1], most)
        extent = box[2:] - box[:2]
        end = box[:2] + (jnp.floor(extent) if whole_pixels else extent)
        within_y = _coverage(box[1], end[1], mask.shape[0])
        within_x = _coverage(box[0], end[0], mask.shape[1])
        share = (within_y @ mask @ within_x) / jnp.maximum(jnp.sum(mask), 1.0)
        return rows @ mask @ columns.T >= 0.5, jnp.clip(share, 1e-10, 1.0)

    regions = jax.lax.stop_gradient((xyxy, gt_index))
    batch = min(_REGIONS_AT_ONCE, xyxy.shape[0])
    crops, share = jax.lax.map(crop, regions, batch_size=batch)
    return crops.astype(jnp.float32), share


def mask_iou_targets(logit, crops, share):
    """IoU of the predicted mask with the whole object, seen at the region's resolution.

    Args:
      logit: f32[R, 28, 28]; the mask is where it is above 0.
      crops, share: as of mask_targets.

    Returns:
      f32[R] in 0..1 (Mask Scoring R-CNN, section 3.2)
    """
    mask = jax.lax.stop_gradient(logit) > 0
    overlap = jnp.sum(jnp.where(mask, crops, 0.0), axis=(1, 2))
    whole = jnp.sum(crops, axis=(1, 2)) / share
    union = jnp.sum(mask, axis=(1, 2)) + whole - overlap
    return overlap / jnp.maximum(union, 1.0)


def _sampling(start, end, cells, size, most):
    """f32[28, size]: how much each pixel of an axis counts in each bin of [start, end]."""
    side = (end - start) / MASK_SIDE
    count = jnp.ceil(jnp.maximum(side, 0.0)).astype(jnp.int32)
    bins, pixels = jnp.arange(MASK_SIDE), jnp.arange(size)

    def add(n, weights):
        at = start - 0.5 + (bins + (n + 0.5) / jnp.maximum(count, 1)) * side
        reads = (at >= -1.0) & (at <= cells) & (n < count)
        at = jnp.clip(at, 0.0, cells - 1.0)
        hat = jnp.maximum(1.0 - jnp.abs(at[:, None] - pixels), 0.0)
        return weights + jnp.where(reads[:, None], hat, 0.0)

    weights = jax.lax.fori_loop(0, most, add, jnp.zeros((MASK_SIDE, size)))
    return weights / jnp.maximum(count, 1)


def _coverage(start, end, size):
    """f32[size]: the share of each pixel of an axis that lies in [start, end]."""
    pixels = jnp.arange(size)
    return jnp.clip(jnp.minimum(end, pixels + 1.0) - jnp.maximum(start, pixels), 0.0, 1.0)
