"""CenterMask with position-preserved attention: the parts and how images pass through them."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.fcos import FcosHead
from sor_jax.models.fpn import FeaturePyramid
from sor_jax.models.mask_head import MaskHead, MaskIouHead
from sor_jax.models.ranking import RankingHead
from sor_jax.ops.coords import coordinate_maps, inside
from sor_jax.ops.roi_align import assign_levels, max_points, roi_align
from sor_jax.structures import Boxes

STRIDES = (8, 16, 32, 64, 128)
ROI_LEVELS = (3, 4, 5)
POOLED_SIDE = 14


class CenterMask(nn.Module):
    """A one-stage instance segmenter that ranks what it finds.

    Its methods are called apart, in this order: `features`, `detect`, `pool`, `masks`, `mask_iou`,
    `tokens`, `ranks`. Between them, outside the module, boxes are decoded or sampled.

    Attributes:
      backbone: turns (images, image_hw) into [stem, stage 2 .. stage 5].
      pyramid, fcos, mask, iou, ranking: the parts.
      pixel_mean, pixel_std: of the input, in the order of `pixel_order`.
      pixel_order: "rgb" or "bgr"; with mean and std it belongs to the loaded weights.
      box_extent: boxes reach at most this many times the input's size (1: they are clipped).
      dtype: what layers compute in.
    """

    backbone: nn.Module
    pyramid: FeaturePyramid
    fcos: FcosHead
    mask: MaskHead
    iou: MaskIouHead
    ranking: RankingHead
    pixel_mean: Sequence[float]
    pixel_std: Sequence[float]
    pixel_order: str = "rgb"
    box_extent: float = 1.0
    dtype: jnp.dtype = jnp.float32

    def normalize(self, image, image_hw):
        """u8[B, H, W, 3] RGB -> f[B, H, W, 3], 0 outside the photograph."""
        if self.pixel_order not in ("rgb", "bgr"):
            raise ValueError(f"pixel_order is {self.pixel_order!r}; expected 'rgb' or 'bgr'")
        image = image[..., ::-1] if self.pixel_order == "bgr" else image
        mean, std = jnp.asarray(self.pixel_mean), jnp.asarray(self.pixel_std)
        x = (image.astype(jnp.float32) - mean) / std
        return jnp.where(inside(image_hw, image.shape[1:3], 1), x, 0).astype(self.dtype)

    def features(self, image, image_hw):
        """u8[B, H, W, 3] RGB, H and W multiples of 32 -> [P3, .. P7], f[B, h, w, C]."""
        height, width = image.shape[1:3]
        if height % 32 or width % 32:
            raise ValueError(
                f"the input is {height}x{width} pixels; both sides must be multiples of 32"
            )
        stages = self.backbone(self.normalize(image, image_hw), image_hw)
        return self.pyramid(stages[-3:], image_hw)

    def detect(self, levels, image_hw):
        """[P3, .. P7] -> DenseOutputs [B, P]."""
        return self.fcos(levels, image_hw, STRIDES)

    def pool(self, levels, boxes: Boxes, image_hw):
        """Pools features and coordinate maps of regions from P3..P5.

        Returns:
          ([B, R, 14, 14, C + 2], i32[] regions that needed more points than are bounded for).
        """
        strides = STRIDES[: len(ROI_LEVELS)]
        maps = [
            jnp.concatenate([f, coordinate_maps(image_hw, f.shape[1:3], s).astype(f.dtype)], -1)
            for f, s in zip(levels, strides, strict=False)
        ]
        # An empty box in each padded slot: it takes no sampling points and reads nothing.
        xyxy = jnp.where(boxes.valid[..., None], boxes.xyxy, 0.0)
        index = assign_levels(xyxy, image_hw, levels=ROI_LEVELS, rule="area_ratio")
        canvas = tuple(side * STRIDES[0] for side in levels[0].shape[1:3])
        points = max_points(
            canvas, levels=ROI_LEVELS, out=POOLED_SIDE, rule="area_ratio", extent=self.box_extent
        )
        pooled, too_large = roi_align(
            maps, xyxy, index, image_hw, strides=strides, out=POOLED_SIDE, points=max(points)
        )
        return pooled, jnp.sum(too_large & boxes.valid)

    def masks(self, pooled):
        """[B, R, 14, 14, C + 2] -> mask logits f32[B, R, 28, 28]."""
        return self.mask(pooled[..., :-2])

    def mask_iou(self, pooled, mask_prob):
        """[B, R, 14, 14, C + 2], probabilities f32[B, R, 28, 28] -> IoU f32[B, R]."""
        return self.iou(pooled[..., :-2], mask_prob)

    def tokens(self, pooled, mask_prob, boxes: Boxes, image_hw):
        """One visual token a region, f32[B, R, D]."""
        return self.ranking.tokens(pooled, mask_prob, boxes.xyxy, image_hw)

    def ranks(self, tokens, boxes: Boxes, *, train: bool = False):
        """Rank logits f32[B, R, 5] of the tokens of each image."""
        return self.ranking.interact(tokens, boxes.valid, train=train)

    def __call__(self, image, image_hw, boxes: Boxes):
        """Touches every part once, so that `init` makes all parameters."""
        levels = self.features(image, image_hw)
        dense = self.detect(levels, image_hw)
        pooled, _ = self.pool(levels, boxes, image_hw)
        logit = self.masks(pooled)
        prob = nn.sigmoid(logit)
        tokens = self.tokens(pooled, prob, boxes, image_hw)
        return dense, logit, self.mask_iou(pooled, prob), self.ranks(tokens, boxes)
