"""Mask R-CNN's part of the training and of the inference map: proposals, then their boxes."""

import dataclasses

import jax
import jax.numpy as jnp

from sor_jax.decode import rcnn as decode
from sor_jax.detectors.objective import Objective
from sor_jax.detectors.predict import Predictor, all_finite
from sor_jax.losses import rcnn as rcnn_losses
from sor_jax.losses.reduce import SumCount
from sor_jax.models.mask_rcnn import ANCHOR_SIDES, STRIDES
from sor_jax.ops import anchors as ops
from sor_jax.structures import AnchorOutputs, Batch, Boxes, GroundTruth, Images, Proposals, Rois
from sor_jax.targets.rcnn import RegionTargets, anchor_targets, region_targets


@dataclasses.dataclass(frozen=True)
class MaskRcnnObjective(Objective):
    """Losses of a batch: rpn_class, rpn_box, box_class, box, mask, rank.

    Of the `sampled_rois`, at most `roi_slots` are foreground and go on to the mask and ranking
    heads.

    Attributes:
      pre_nms_top: anchors of a level whose boxes are compared with each other, the best ones.
      max_proposals: boxes an image that the first stage hands on.
      nms_threshold: IoU with a better box of its level above which one is dropped.
      sampled_anchors: anchors an image that the RPN learns from, at most half of them positive.
      sampled_rois: regions an image that the box head learns from.
    """

    roi_slots: int = 128
    pre_nms_top: int = 2000
    max_proposals: int = 1000
    nms_threshold: float = 0.7
    sampled_anchors: int = 256
    sampled_rois: int = 512

    def detect(self, model, levels, batch: Batch, gt: GroundTruth, keys):
        """Losses of RPN and box head by name, and the regions [B, roi_slots] for the heads."""
        anchors, where = _anchors(batch)
        outputs = model.detect(levels, batch.valid_hw)
        losses = self.anchor_losses(outputs, gt, anchors, where, keys)
        # What the RPN's mean is taken over is fixed: anchors that an image lacks count, too.
        size = self.sampled_anchors * jnp.sum(batch.valid, dtype=jnp.float32)
        losses = {name: dataclasses.replace(loss, count=size) for name, loss in losses.items()}

        proposals = self.propose(outputs, anchors, where, batch.valid_hw)
        target = self.sample(proposals, gt, keys)
        boxes = model.boxes(levels, target.boxes, batch.valid_hw)
        losses["box_class"] = rcnn_losses.class_loss(
            boxes.class_logit, target.foreground, target.boxes.valid
        )
        offset = rcnn_losses.offset_loss(boxes.delta, target.delta, target.foreground)
        losses["box"] = dataclasses.replace(offset, count=losses["box_class"].count)
        return losses, self.foreground(target)

    def propose(self, outputs: AnchorOutputs, anchors, where, valid_hw) -> Proposals:
        """The first stage: proposals [B, max_proposals], cut to the photograph.

        Args:
          outputs: of the RPN, [B, A].
          anchors: of the pyramid, A.
          where: bool[B, A] which of them belong to the photographs.
          valid_hw: i32[B, 2] the photographs' height and width.
        """
        return _propose(self, outputs, anchors, where, valid_hw)

    def anchor_losses(
        self, outputs: AnchorOutputs, gt: GroundTruth, anchors, where, keys
    ) -> dict[str, SumCount]:
        """Objectness and offset losses of a sample of the anchors in `where` bool[B, A]."""
        draw = self.draw(keys, 1, where.shape[1])
        target = jax.vmap(
            lambda *image: anchor_targets(
                image[0], anchors.xyxy, *image[1:], count=self.sampled_anchors
            )
        )(gt.boxes, where, draw)
        return {
            "rpn_class": rcnn_losses.objectness_loss(
                outputs.objectness_logit, target.positive, target.sampled
            ),
            "rpn_box": rcnn_losses.offset_loss(outputs.delta, target.delta, target.positive),
        }

    def sample(self, proposals: Proposals, gt: GroundTruth, keys) -> RegionTargets:
        """A sample [B, sampled_rois] of proposals and ground-truth boxes, foreground first.

        `keys` key[B] draw it.
        """
        num_candidates = proposals.score.shape[1] + gt.boxes.valid.shape[1]
        draw = self.draw(keys, 2, num_candidates)
        return jax.vmap(
            lambda *image: region_targets(
                *image, count=self.sampled_rois, foreground_slots=self.roi_slots
            )
        )(proposals, gt.boxes, draw)

    def foreground(self, target: RegionTargets) -> Rois:
        """The foreground of a sample, [B, roi_slots]."""
        first = slice(None), slice(self.roi_slots)
        boxes = Boxes(target.boxes.xyxy[first], target.foreground[first])
        return Rois(boxes, target.gt_index[first], target.num_left_out)

    def draw(self, keys, purpose: int, count: int):
        """f32[B, count] in 0..1 from key[B]; what an image draws depends on its own key alone."""
        return jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, purpose), (count,)))(
            keys
        )


@dataclasses.dataclass(frozen=True)
class MaskRcnnPredictor(Predictor):
    """Finds objects with a region proposal network and a box head.

    Attributes:
      pre_nms_top, max_proposals, nms_threshold: of the first stage, see MaskRcnnObjective.
      class_threshold: probability of an object above which a region is one.
      box_nms_threshold: IoU with a better box above which one of the second stage is dropped.
      max_detections: boxes an image.
    """

    pre_nms_top: int = 1000
    max_proposals: int = 1000
    nms_threshold: float = 0.7
    class_threshold: float = 0.3
    box_nms_threshold: float = 0.5
    max_detections: int = 100

    def find(self, model, levels, images: Images):
        """The boxes [B, N] in falling score, none in fillers; bool[B], if all was finite."""
        anchors, where = _anchors(images)
        outputs = model.detect(levels, images.valid_hw)
        proposals = self.propose(outputs, anchors, where, images.valid_hw)
        boxes = model.boxes(levels, proposals.boxes, images.valid_hw)
        found = jax.vmap(
            lambda *image: decode.detections(
                *image,
                max_detections=self.max_detections,
                class_threshold=self.class_threshold,
                nms_threshold=self.box_nms_threshold,
            )
        )(boxes, proposals.boxes, images.valid_hw)
        finite = all_finite(outputs, where) & all_finite(boxes, proposals.boxes.valid)
        return found, finite

    def propose(self, outputs: AnchorOutputs, anchors, where, valid_hw) -> Proposals:
        """The first stage: proposals [B, max_proposals], cut to the photograph.

        Args:
          outputs: of the RPN, [B, A].
          anchors: of the pyramid, A.
          where: bool[B, A] which of them belong to the photographs.
          valid_hw: i32[B, 2] the photographs' height and width.
        """
        return _propose(self, outputs, anchors, where, valid_hw)


def _propose(
    settings: MaskRcnnObjective | MaskRcnnPredictor,
    outputs: AnchorOutputs,
    anchors,
    where,
    valid_hw,
) -> Proposals:
    return jax.vmap(
        lambda *image: decode.propose(
            image[0],
            anchors,
            *image[1:],
            pre_nms_top=settings.pre_nms_top,
            max_proposals=settings.max_proposals,
            nms_threshold=settings.nms_threshold,
        )
    )(outputs, where, valid_hw)


def _anchors(images: Images):
    """The pyramid's anchors, and which of them bool[B, A] belong to the photographs."""
    _, height, width, _ = images.image.shape
    anchors = ops.anchors((height, width), STRIDES, ANCHOR_SIDES)
    where = jax.vmap(lambda hw: ops.inside(anchors, hw))(images.valid_hw)
    return anchors, where & images.valid[:, None]
