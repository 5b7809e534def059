"""Mask R-CNN with position-preserved attention: how it finds objects in two stages."""

from sor_jax.models.rcnn_heads import BoxHead, RpnHead
from sor_jax.models.segmenter import Segmenter
from sor_jax.ops.chunks import in_chunks
from sor_jax.structures import Boxes

STRIDES = (4, 8, 16, 32, 64)
ANCHOR_SIDES = (32, 64, 128, 256, 512)
BOX_POOLED_SIDE = 7
# Regions of an image that are pooled at once: the gradient of all 512 would take gigabytes.
POOLED_AT_ONCE = 128


class MaskRcnn(Segmenter, kw_only=True):
    """A two-stage instance segmenter that ranks what it finds (Mask R-CNN and FPN papers).

    Attributes: rpn and box, the two stages of the detector, and those of Segmenter.
    """

    strides = STRIDES
    roi_levels = (2, 3, 4, 5)
    level_rule = "fpn"

    rpn: RpnHead
    box: BoxHead

    def detect(self, levels, valid_hw):
        """levels [P2, .. P6], each [B, h, w, C] -> AnchorOutputs [B, A]."""
        return self.rpn(levels)

    def box_features(self, levels, boxes: Boxes, valid_hw):
        """Regions [B, R] -> what the box head reads of them, [B, R, 7, 7, C].

        levels are those of `detect`, valid_hw i32[B, 2]; padded regions read 0.
        """
        maps = levels[: len(self.roi_levels)]

        def pool(maps, valid_hw, boxes):
            return self._pool(maps, boxes, valid_hw, BOX_POOLED_SIDE)[0]

        return in_chunks(pool, maps, valid_hw, boxes, size=POOLED_AT_ONCE)

    def boxes(self, levels, boxes: Boxes, valid_hw):
        """Class and offset of regions [B, R] -> RegionBoxes [B, R]; see `box_features`."""
        return self.box(self.box_features(levels, boxes, valid_hw))

    def __call__(self, image, valid_hw, boxes: Boxes):
        """Touches every part once, so that `init` makes all parameters.

        image u8[B, H, W, 3], valid_hw i32[B, 2], boxes [B, R] in pixels.
        """
        levels = self.features(image, valid_hw)
        found = self.detect(levels, valid_hw), self.boxes(levels, boxes, valid_hw)
        return *found, *self.touch_heads(levels, boxes, valid_hw)
