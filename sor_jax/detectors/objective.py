"""The training map: batch -> named losses. Its twin is predict.py, in the same order."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from sor_jax.detectors.heads import RegionOutputs, run_heads
from sor_jax.losses import masks as mask_losses
from sor_jax.losses.ranking import RANK_LOSSES
from sor_jax.losses.reduce import SumCount, ratio
from sor_jax.models.segmenter import Segmenter
from sor_jax.structures import Batch, Boxes, GroundTruth, Rois
from sor_jax.targets.masks import mask_iou_targets, mask_targets


class Sums(NamedTuple):
    """What a batch, or a part of one, adds to the losses of the whole."""

    losses: dict[str, SumCount]
    counts: dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Objective:
    """Losses of a batch under given parameters; a subclass adds those of its detector.

    Attributes:
      model: the network.
      roi_slots: foreground regions an image that reach the mask, mask IoU and ranking heads.
      weights: of losses in the total by their names, 1 where none is given; 0 leaves the loss out,
        and with the mask IoU's or the rank loss the head. The rank loss's is the paper's lambda.
      rank_loss: "cross_entropy" (the paper's), "pairwise" or "listmle", see losses.ranking.
      mask_gradient: let the mask IoU and rank losses reach the mask head through its probability.
      raw_mask: show the ranking head mask logits, not probabilities.
      whole_pixels: count an object's share in a region in whole pixels, as the original does.
      remat: compute what lies inside the heads again for the gradient instead of keeping it.
    """

    model: Segmenter
    roi_slots: int = 105
    weights: FrozenDict = FrozenDict()
    rank_loss: str = "cross_entropy"
    mask_gradient: bool = False
    raw_mask: bool = False
    whole_pixels: bool = False
    remat: bool = False

    def detect(
        self, model, levels, batch: Batch, gt: GroundTruth, keys
    ) -> tuple[dict[str, SumCount], Rois]:
        """The detector's losses by name, and the regions [B, roi_slots] for the heads.

        Args:
          model: the network with its variables.
          levels: the pyramid's maps [B, h, w, C], fine to coarse.
          batch: the photographs, B with fillers.
          gt: their ground truth, none in fillers.
          keys: key[B], for what is drawn at random.
        """
        raise NotImplementedError

    def __call__(self, params, frozen, batch: Batch, rng):
        """Computes the losses; every normaliser is over the whole (global) batch.

        Args:
          params, frozen: the model's collections.
          batch: photographs with ground truth; fillers and padding reach no loss.
          rng: key for what is drawn at random.

        Returns:
          (total f32[], scalars): "loss/NAME" for the detector's losses, mask, mask_iou (where the
          model has such a head), rank, those without a weight left out, and total; and the counts
          "rois/foreground", "rois/left_out", "rois/undersampled".
        """
        return self.total(self.sums(params, frozen, batch, image_keys(rng, len(batch.valid))))

    def weight(self, name: str) -> float:
        """Of a loss in the total."""
        return self.weights.get(name, 1.0)

    def total(self, sums: Sums):
        """(total f32[], scalars) as above; linear in the sums, so parts of a batch add up."""
        losses = {name: ratio(loss) for name, loss in sums.losses.items()}
        total = sum(self.weight(name) * value for name, value in losses.items())
        scalars = {f"loss/{name}": value for name, value in (losses | {"total": total}).items()}
        return total, scalars | {f"rois/{name}": value for name, value in sums.counts.items()}

    def sums(self, params, frozen, batch: Batch, keys) -> Sums:
        """The losses of a batch before they are divided.

        Args:
          params, frozen: the model's collections.
          batch: photographs with ground truth; fillers and padding reach no loss.
          keys: key[B], one for each image.
        """
        variables = {"params": params, "frozen": frozen}
        model = self.model.bind(variables)
        gt = dataclasses.replace(
            batch.gt,
            boxes=Boxes(batch.gt.boxes.xyxy, batch.gt.boxes.valid & batch.valid[:, None]),
        )

        levels = model.features(batch.image, batch.valid_hw)
        losses, rois = self.detect(model, levels, batch, gt, keys)
        outputs = run_heads(
            self.model,
            variables,
            levels,
            rois.boxes,
            batch.valid_hw,
            mask_gradient=self.mask_gradient,
            raw_mask=self.raw_mask,
            dropout_keys=keys,
            remat=self.remat,
            ranks=self.weight("rank") != 0,
            mask_iou=self.weight("mask_iou") != 0,
        )
        losses |= self.roi_losses(outputs, rois, gt, batch.valid_hw)
        losses = {name: value for name, value in losses.items() if self.weight(name) != 0}
        counts = {
            "foreground": jnp.sum(rois.boxes.valid, dtype=jnp.float32),
            "left_out": jnp.sum(rois.num_left_out, dtype=jnp.float32),
            "undersampled": outputs.undersampled,
        }
        return Sums(losses, counts)

    def roi_losses(
        self, outputs: RegionOutputs, rois: Rois, gt: GroundTruth, valid_hw
    ) -> dict[str, SumCount]:
        """Mask, mask IoU (where there is such a head) and rank losses of the foreground.

        Regions of an object without a mask count for the rank loss alone.

        Args:
          outputs: of the heads, [B, roi_slots].
          rois: the regions, [B, roi_slots].
          gt: what they are matched to, [B, M].
          valid_hw: i32[B, 2] the photographs' height and width.
        """
        valid, xyxy, logit = rois.boxes.valid, rois.boxes.xyxy, outputs.mask_logit

        def targets(gt, xyxy, index, hw, logit):
            crops, share = mask_targets(gt, xyxy, index, hw, whole_pixels=self.whole_pixels)
            return crops, mask_iou_targets(logit, crops, share)

        crops, iou_target = jax.vmap(targets)(gt, xyxy, rois.gt_index, valid_hw, logit)
        masked = valid
        if gt.has_mask is not None:
            masked &= jnp.take_along_axis(gt.has_mask, rois.gt_index, axis=1)
        losses = {"mask": mask_losses.mask_loss(logit, crops, masked)}
        if self.model.iou is not None and outputs.mask_iou is not None:
            losses["mask_iou"] = mask_losses.mask_iou_loss(outputs.mask_iou, iou_target, masked)
        if outputs.rank_logit is not None:
            rank_class = jnp.take_along_axis(gt.rank_class, rois.gt_index, axis=1)
            losses["rank"] = RANK_LOSSES[self.rank_loss](outputs.rank_logit, rank_class, valid)
        return losses


def image_keys(rng, count: int):
    """key[count]: one for each row of a batch, whatever the number of rows."""
    return jax.vmap(lambda row: jax.random.fold_in(rng, row))(jnp.arange(count))
