"""The training map: batch -> named losses. Its twin is predict.py, in the same order."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sor_jax.decode.dense import decode_images
from sor_jax.heads import RegionOutputs, run_heads
from sor_jax.losses import dense as dense_losses
from sor_jax.losses import masks as mask_losses
from sor_jax.losses.ranking import rank_loss
from sor_jax.losses.reduce import SumCount, ratio
from sor_jax.models.centermask import STRIDES, CenterMask
from sor_jax.ops import grid
from sor_jax.structures import Batch, Boxes, GroundTruth, Proposals, Rois
from sor_jax.targets.fcos import fcos_targets
from sor_jax.targets.masks import mask_iou_targets, mask_targets
from sor_jax.targets.rois import select_rois


class Sums(NamedTuple):
    """What a batch, or a part of one, adds to the losses of the whole."""

    losses: dict[str, SumCount]
    counts: dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Objective:
    """Losses of a batch under given parameters.

    Attributes:
      model: the network.
      roi_slots: foreground regions an image that reach the mask, mask IoU and ranking heads.
      rank_weight: lambda, the weight of the rank loss in the total.
      class_threshold, nms_threshold, pre_nms_top, max_proposals: as of decode.dense.proposals.
      clip_boxes: cut regions to the photograph before they are pooled.
      mask_gradient: let the mask IoU and rank losses reach the mask head through its probability.
      whole_pixels: as of mask_targets.
      remat: as of run_heads.
    """

    model: CenterMask
    roi_slots: int = 105
    rank_weight: float = 1.0
    class_threshold: float = 0.05
    nms_threshold: float = 0.6
    pre_nms_top: int = 1000
    max_proposals: int = 100
    clip_boxes: bool = True
    mask_gradient: bool = False
    whole_pixels: bool = False
    remat: bool = False

    def __call__(self, params, frozen, batch: Batch, rng):
        """Computes the losses; every normaliser is over the whole (global) batch.

        Args:
          params, frozen: the model's collections.
          batch: as of Batch; fillers and padding reach no loss.
          rng: key for dropout.

        Returns:
          (total f32[], scalars): "loss/NAME" for fcos_class, fcos_box, fcos_centerness, mask,
          mask_iou, rank and total, and the counts "rois/foreground", "rois/left_out",
          "rois/undersampled".
        """
        return self.total(self.sums(params, frozen, batch, image_keys(rng, len(batch.valid))))

    def total(self, sums: Sums):
        """(total f32[], scalars) as above; linear in the sums, so parts of a batch add up."""
        losses = {
            name: ratio(sum_count, at_least=1e-6 if name == "fcos_box" else 1.0)
            for name, sum_count in sums.losses.items()
        }
        total = sum(losses.values()) + (self.rank_weight - 1.0) * losses["rank"]
        scalars = {f"loss/{name}": value for name, value in (losses | {"total": total}).items()}
        return total, scalars | {f"rois/{name}": value for name, value in sums.counts.items()}

    def sums(self, params, frozen, batch: Batch, keys) -> Sums:
        """The losses of a batch before they are divided; `keys` key[B], one for each image."""
        variables = {"params": params, "frozen": frozen}
        model = self.model.bind(variables)
        gt = dataclasses.replace(
            batch.gt,
            boxes=Boxes(batch.gt.boxes.xyxy, batch.gt.boxes.valid & batch.valid[:, None]),
        )
        points = grid.points(batch.image.shape[1:3], STRIDES)
        where = jax.vmap(lambda hw: grid.inside(points, hw))(batch.image_hw)
        where &= batch.valid[:, None]

        levels = model.features(batch.image, batch.image_hw)
        dense = model.detect(levels, batch.image_hw)
        losses = self.detection_losses(dense, gt, points, where)
        proposals = self.propose(dense, points, where, batch.image_hw)
        rois = self.sample(proposals, gt)
        outputs = run_heads(
            self.model,
            variables,
            levels,
            rois.boxes,
            batch.image_hw,
            mask_gradient=self.mask_gradient,
            dropout_keys=keys,
            remat=self.remat,
        )
        losses |= self.roi_losses(outputs, rois, gt, batch.image_hw)
        counts = {
            "foreground": jnp.sum(rois.boxes.valid, dtype=jnp.float32),
            "left_out": jnp.sum(rois.num_left_out, dtype=jnp.float32),
            "undersampled": outputs.undersampled,
        }
        return Sums(losses, counts)

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

    def propose(self, dense, points, where, image_hw) -> Proposals:
        """The detector's proposals [B, max_proposals], cut to the photograph if so configured."""
        return decode_images(
            dense,
            points,
            where,
            image_hw,
            clip=self.clip_boxes,
            class_threshold=self.class_threshold,
            nms_threshold=self.nms_threshold,
            pre_nms_top=self.pre_nms_top,
            max_proposals=self.max_proposals,
        )

    def sample(self, proposals: Proposals, gt: GroundTruth) -> Rois:
        """Foreground among proposals and ground-truth boxes, [B, roi_slots]."""
        return jax.vmap(lambda p, b: select_rois(p, b, slots=self.roi_slots))(proposals, gt.boxes)

    def roi_losses(
        self, outputs: RegionOutputs, rois: Rois, gt: GroundTruth, image_hw
    ) -> dict[str, SumCount]:
        """Mask, mask IoU and rank losses of the foreground."""
        valid, xyxy, logit = rois.boxes.valid, rois.boxes.xyxy, outputs.mask_logit

        def targets(gt, xyxy, index, hw, logit):
            crops, share = mask_targets(gt, xyxy, index, hw, whole_pixels=self.whole_pixels)
            return crops, mask_iou_targets(logit, crops, share)

        crops, iou_target = jax.vmap(targets)(gt, xyxy, rois.gt_index, image_hw, logit)
        rank_class = jnp.take_along_axis(gt.rank_class, rois.gt_index, axis=1)
        return {
            "mask": mask_losses.mask_loss(logit, crops, valid),
            "mask_iou": mask_losses.mask_iou_loss(outputs.mask_iou, iou_target, valid),
            "rank": rank_loss(outputs.rank_logit, rank_class, valid),
        }


def image_keys(rng, count: int):
    """key[count]: one for each row of a batch, whatever the number of rows."""
    return jax.vmap(lambda row: jax.random.fold_in(rng, row))(jnp.arange(count))
