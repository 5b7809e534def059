"""What the mask and mask IoU heads should say of each region."""

import jax
import jax.numpy as jnp

from sor_jax.structures import GroundTruth
from sor_jax.targets.bitmaps import crop_bitmaps
from sor_jax.targets.outlines import crop_polygons

MASK_SIDE = 28


def mask_targets(gt: GroundTruth, xyxy, gt_index, valid_hw, *, whole_pixels: bool = False):
    """Crops the matched object of each region of one image to the region.

    An object with polygons is drawn from them, another is sampled from its bitmap.

    Args:
      gt: of one image, M objects.
      xyxy: f32[R, 4] regions.
      gt_index: i32[R] into the M objects.
      valid_hw: i32[2] size of the photograph inside the padding.
      whole_pixels: cut the sides of a region to whole pixels and count pixels for the share, as the
        original does; otherwise areas are exact.

    Returns:
      (crop f32[R, 28, 28] 0 or 1, share f32[R] of the object that lies in the region, in
      1e-10 .. 1).
    """
    gt, xyxy, gt_index = jax.lax.stop_gradient((gt, xyxy, gt_index))
    crops, share = crop_bitmaps(
        gt.masks, xyxy, gt_index, valid_hw, side=MASK_SIDE, whole_pixels=whole_pixels
    )
    if gt.polygons.valid.shape[-1]:
        drawn, part = crop_polygons(
            gt.polygons,
            xyxy,
            gt_index,
            max_hw=gt.masks.shape[1:],
            side=MASK_SIDE,
            whole_pixels=whole_pixels,
        )
        outlined = gt.polygons.valid.any(axis=-1)[gt_index]
        crops = jnp.where(outlined[:, None, None], drawn, crops)
        share = jnp.where(outlined, part, share)
    return crops.astype(jnp.float32), jnp.clip(share, 1e-10, 1.0)


def mask_iou_targets(logit, crops, share):
    """IoU of the predicted mask with the whole object, seen at the region's resolution.

    Args:
      logit: f32[R, 28, 28]; the mask is where it is above 0.
      crops: f32[R, 28, 28] 0 or 1, the matched object within each region.
      share: f32[R] of the object that lies in the region, above 0.

    Returns:
      f32[R] in 0..1 (Mask Scoring R-CNN, section 3.2)
    """
    mask = jax.lax.stop_gradient(logit) > 0
    overlap = jnp.sum(jnp.where(mask, crops, 0.0), axis=(1, 2))
    whole = jnp.sum(crops, axis=(1, 2)) / share
    union = jnp.sum(mask, axis=(1, 2)) + whole - overlap
    return overlap / jnp.maximum(union, 1.0)
