"""CenterMask with position-preserved attention: how it finds objects in one stage."""

from sor_jax.models.fcos import FcosHead
from sor_jax.models.segmenter import Segmenter
from sor_jax.structures import Boxes

STRIDES = (8, 16, 32, 64, 128)


class CenterMask(Segmenter, kw_only=True):
    """A one-stage instance segmenter that ranks what it finds (CenterMask paper).

    Attributes: fcos, the dense detector, and those of Segmenter.
    """

    strides = STRIDES
    roi_levels = (3, 4, 5)
    level_rule = "area_ratio"

    fcos: FcosHead

    def detect(self, levels, valid_hw):
        """levels [P3, .. P7], each [B, h, w, C], valid_hw i32[B, 2] -> DenseOutputs [B, P]."""
        return self.fcos(levels, valid_hw, STRIDES)

    def __call__(self, image, valid_hw, boxes: Boxes):
        """Touches every part once, so that `init` makes all parameters.

        image u8[B, H, W, 3], valid_hw i32[B, 2], boxes [B, R] in pixels.
        """
        levels = self.features(image, valid_hw)
        return self.detect(levels, valid_hw), *self.touch_heads(levels, boxes, valid_hw)
