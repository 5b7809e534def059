"""CenterMask's part of the training and of the inference map: FCOS, in one stage."""

import dataclasses

import jax

from sor_jax.decode.dense import decode_images
from sor_jax.detectors.objective import Objective
from sor_jax.detectors.predict import Predictor, all_finite
from sor_jax.losses import dense as dense_losses
from sor_jax.losses.reduce import SumCount
from sor_jax.models.centermask import STRIDES
from sor_jax.ops import grid
from sor_jax.structures import Batch, GroundTruth, Images, Proposals, Rois
from sor_jax.targets.fcos import fcos_targets
from sor_jax.targets.rois import select_rois


@dataclasses.dataclass(frozen=True)
class CenterMaskObjective(Objective):
    """Losses of a batch: fcos_class, fcos_box, fcos_centerness, mask, mask_iou, rank.

    Attributes:
      class_threshold: class probability above which a point proposes its box.
      nms_threshold: IoU with a better box above which one is dropped.
      pre_nms_top: boxes of a level that are compared with each other, the best ones.
      max_proposals: boxes an image that remain.
      clip_boxes: cut regions to the photograph before they are pooled.
    """

    class_threshold: float = 0.05
    nms_threshold: float = 0.6
    pre_nms_top: int = 1000
    max_proposals: int = 100
    clip_boxes: bool = True

    def detect(self, model, levels, batch: Batch, gt: GroundTruth, keys):
        """FCOS's losses by name, and the regions [B, roi_slots] for the heads."""
        points, where = _points(batch)
        dense = model.detect(levels, batch.valid_hw)
        losses = self.detection_losses(dense, gt, points, where)
        proposals = self.propose(dense, points, where, batch.valid_hw)
        return losses, self.sample(proposals, gt)

    def detection_losses(self, dense, gt: GroundTruth, points, where) -> dict[str, SumCount]:
        """Class, box and centerness losses of the points in `where` bool[B, P]."""
        target = jax.vmap(lambda b: fcos_targets(b, points))(gt.boxes)
        positive = target.positive & where
        return {
            "fcos_class": dense_losses.focal_loss(dense.class_logit, positive, where),
            "fcos_box": dense_losses.box_loss(dense.ltrb, target.ltrb, target.centerness, positive),
            "fcos_centerness": dense_losses.centerness_loss(
                dense.centerness_logit, target.centerness, positive
            ),
        }

    def propose(self, dense, points, where, valid_hw) -> Proposals:
        """Raw outputs [B, P] -> proposals [B, max_proposals], cut to the photograph if so asked.

        Args:
          dense: DenseOutputs of the model.
          points: of the pyramid.
          where: bool[B, P] which of them lie in the photographs.
          valid_hw: i32[B, 2] the photographs' height and width.
        """
        return _decode(self, dense, points, where, valid_hw, self.max_proposals)

    def sample(self, proposals: Proposals, gt: GroundTruth) -> Rois:
        """Foreground among proposals and ground-truth boxes, [B, roi_slots]."""
        return jax.vmap(lambda p, b: select_rois(p, b, slots=self.roi_slots))(proposals, gt.boxes)


@dataclasses.dataclass(frozen=True)
class CenterMaskPredictor(Predictor):
    """Finds objects with FCOS.

    Attributes:
      class_threshold, nms_threshold, pre_nms_top: see CenterMaskObjective.
      max_detections: boxes an image.
      clip_boxes: cut boxes to the photograph before they are pooled.
    """

    class_threshold: float = 0.3
    nms_threshold: float = 0.6
    pre_nms_top: int = 1000
    max_detections: int = 50
    clip_boxes: bool = True

    def find(self, model, levels, images: Images):
        """The boxes [B, N] in falling score, none in fillers; bool[B], if all was finite."""
        points, where = _points(images)
        dense = model.detect(levels, images.valid_hw)
        found = _decode(self, dense, points, where, images.valid_hw, self.max_detections)
        return found, all_finite(dense, where)


def _decode(
    settings: CenterMaskObjective | CenterMaskPredictor, dense, points, where, valid_hw, count: int
) -> Proposals:
    """Raw outputs -> boxes [B, count], cut to the photograph if so configured."""
    return decode_images(
        dense,
        points,
        where,
        valid_hw,
        clip=settings.clip_boxes,
        class_threshold=settings.class_threshold,
        nms_threshold=settings.nms_threshold,
        pre_nms_top=settings.pre_nms_top,
        max_proposals=count,
    )


def _points(images: Images):
    """The pyramid's points, and which of them bool[B, P] lie in the photographs."""
    _, height, width, _ = images.image.shape
    points = grid.points((height, width), STRIDES)
    where = jax.vmap(lambda hw: grid.inside(points, hw))(images.valid_hw)
    return points, where & images.valid[:, None]
