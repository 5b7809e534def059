"""What all detectors share: the way from an image to its pyramid, and the heads over regions."""

from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.fpn import FeaturePyramid
from sor_jax.models.mask_head import MaskHead, MaskIouHead
from sor_jax.models.ranking import RankingHead
from sor_jax.ops.coords import coordinate_maps, inside
from sor_jax.ops.roi_align import assign_levels, max_points, roi_align
from sor_jax.structures import Boxes

POOLED_SIDE = 14


class Segmenter(nn.Module):
    """An instance segmenter that ranks what it finds; a detector adds how it finds.

    Its methods are called apart, in this order: `features`, the detector's own, `pool`, `masks`,
    `mask_iou`, `tokens`, `ranks`. Between them, outside the module, boxes are decoded or sampled.

    Attributes:
      backbone: turns (images, valid_hw) into [stem, stage 2 .. stage 5].
      pyramid, mask, ranking: the parts.
      pixel_mean, pixel_std: of the input, in the order of `pixel_order`.
      iou: None where a mask is scored as its box.
      pixel_order: "rgb" or "bgr"; with mean and std it belongs to the loaded weights.
      box_extent: boxes reach at most this many times the input's size (1: they are clipped).
      dtype: what layers compute in.
    """

    # Of a detector: strides of all its levels, the levels (2 ** k) that regions are pooled from,
    # and how one is chosen for a region (ops.roi_align.assign_levels).
    strides: ClassVar[tuple[int, ...]]
    roi_levels: ClassVar[tuple[int, ...]]
    level_rule: ClassVar[str]

    backbone: nn.Module
    pyramid: FeaturePyramid
    mask: MaskHead
    ranking: RankingHead
    pixel_mean: Sequence[float]
    pixel_std: Sequence[float]
    iou: MaskIouHead | None = None
    pixel_order: str = "rgb"
    box_extent: float = 1.0
    dtype: jnp.dtype = jnp.float32

    def normalize(self, image, valid_hw):
        """u8[B, H, W, 3] RGB -> f[B, H, W, 3], 0 outside the photograph, valid_hw i32[B, 2].

        Raises ValueError for another pixel_order than rgb or bgr.
        """
        if self.pixel_order not in ("rgb", "bgr"):
            raise ValueError(f"pixel_order is {self.pixel_order!r}; expected 'rgb' or 'bgr'")
        image = image[..., ::-1] if self.pixel_order == "bgr" else image
        mean, std = jnp.asarray(self.pixel_mean), jnp.asarray(self.pixel_std)
        x = (image.astype(jnp.float32) - mean) / std
        return jnp.where(inside(valid_hw, image.shape[1:3], 1), x, 0).astype(self.dtype)

    def features(self, image, valid_hw):
        """u8[B, H, W, 3] RGB, valid_hw i32[B, 2] -> the levels f[B, h, w, C], fine to coarse.

        Raises ValueError unless H and W are multiples of 32.
        """
        height, width = image.shape[1:3]
        if height % 32 or width % 32:
            raise ValueError(
                f"the input is {height}x{width} pixels; both sides must be multiples of 32"
            )
        stages = self.backbone(self.normalize(image, valid_hw), valid_hw)
        return self.pyramid(stages[-len(self.roi_levels) :], valid_hw)

    def pool(self, levels, boxes: Boxes, valid_hw):
        """Pools features and coordinate maps of regions; the maps in float32 at any dtype.

        Returns:
          ([B, R, 14, 14, C + 2], i32[] regions that needed more points than are bounded for).
        """
        levels = levels[: len(self.roi_levels)]
        places = [
            coordinate_maps(valid_hw, level.shape[1:3], stride)
            for level, stride in zip(levels, self.strides, strict=False)
        ]
        if levels[0].dtype == jnp.float32:  # at once, which is faster
            maps = [jnp.concatenate(pair, -1) for pair in zip(levels, places, strict=True)]
            return self._pool(maps, boxes, valid_hw, POOLED_SIDE)
        features, undersampled = self._pool(levels, boxes, valid_hw, POOLED_SIDE)
        places, _ = self._pool(places, boxes, valid_hw, POOLED_SIDE)
        return jnp.concatenate([features.astype(jnp.float32), places], -1), undersampled

    def _pool(self, maps, boxes: Boxes, valid_hw, out):
        strides = self.strides[: len(self.roi_levels)]
        # An empty box in each padded slot: it takes no sampling points and reads nothing.
        xyxy = jnp.where(boxes.valid[..., None], boxes.xyxy, 0.0)
        levels, rule = self.roi_levels, self.level_rule
        index = assign_levels(xyxy, valid_hw, levels=levels, rule=rule)
        canvas = tuple(side * strides[0] for side in maps[0].shape[1:3])
        points = max(max_points(canvas, levels=levels, out=out, rule=rule, extent=self.box_extent))
        pooled, too_large = roi_align(
            maps, xyxy, index, valid_hw, strides=strides, out=out, points=points
        )
        return pooled, jnp.sum(too_large & boxes.valid)

    def masks(self, pooled):
        """[B, R, 14, 14, C + 2] -> mask logits f32[B, R, 28, 28]."""
        return self.mask(pooled[..., :-2])

    def mask_iou(self, pooled, mask_prob):
        """[B, R, 14, 14, C + 2], probabilities f32[B, R, 28, 28] -> IoU f32[B, R]."""
        return self.mask_iou_of(self.iou_maps(pooled, mask_prob))

    def iou_maps(self, pooled, mask_prob):
        """The convolutions of `mask_iou`, [B, R, ..]."""
        if self.iou is None:
            return mask_prob[..., :0, 0]
        return self.iou.maps(pooled[..., :-2], mask_prob)

    def mask_iou_of(self, maps):
        """What `iou_maps` gives -> IoU f32[B, R]."""
        return jnp.ones(maps.shape[:2]) if self.iou is None else self.iou.score(maps)

    def tokens(self, pooled, mask_prob, boxes: Boxes, valid_hw):
        """[B, R, 14, 14, C + 2], mask_prob f32[B, R, 28, 28] -> a token a region, f32[B, R, D]."""
        return self.tokens_of(self.token_maps(pooled, mask_prob), boxes, valid_hw)

    def token_maps(self, pooled, mask_prob):
        """The convolutions of `tokens`, [B, R, ..]."""
        return self.ranking.maps(pooled, mask_prob)

    def tokens_of(self, maps, boxes: Boxes, valid_hw):
        """What `token_maps` gives -> tokens f32[B, R, D]."""
        return self.ranking.tokens_of(maps, boxes.xyxy, valid_hw)

    def ranks(self, tokens, boxes: Boxes, *, train: bool = False):
        """Tokens f32[B, R, D] of each image -> rank logits f32[B, R, K]; `train`: with dropout."""
        return self.ranking.interact(tokens, boxes.valid, train=train)

    def touch_heads(self, levels, boxes: Boxes, valid_hw):
        """Touches every head over regions once, so that `init` makes their parameters."""
        pooled, _ = self.pool(levels, boxes, valid_hw)
        logit = self.masks(pooled)
        prob = nn.sigmoid(logit)
        tokens = self.tokens(pooled, prob, boxes, valid_hw)
        return logit, self.mask_iou(pooled, prob), self.ranks(tokens, boxes)
