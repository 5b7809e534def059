"""What limits a model: its numbers once a part of its work is done for it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.record import Record, ranked_indices
from sor_jax.detectors.predict import Predictor
from sor_jax.metrics.scoreboard import Prediction, Truth, mask_iou
from sor_jax.structures import Batch, Proposals

MATCHED = 0.5  # mask IoU from which a detection shows an object


@dataclasses.dataclass(frozen=True)
class TrueBoxes(Predictor):
    """Ranks and segments the boxes of the ranked objects, in the batch's slots."""

    def find(self, model, levels, images: Batch) -> Proposals:
        """As of Predictor; the ground truth is what it finds."""
        valid = images.gt.boxes.valid & images.valid[:, None]
        boxes = dataclasses.replace(images.gt.boxes, valid=valid)
        return Proposals(boxes, jnp.where(valid, 1.0, 0.0))


def true_masks(rank_class: np.ndarray, record: Record, truth: Truth) -> Prediction:
    """The true masks in the order that a model gave to the true boxes.

    Args:
      rank_class: i[m] of the m boxes, the most salient object first, as batches hold them.
      record, truth: the photograph.
    """
    objects = ranked_indices(record.rank_order)[: len(rank_class)]
    ranked = np.searchsorted(np.sort(ranked_indices(record.rank_order)), objects)
    ranked, rank_class = ranked[rank_class >= 0], rank_class[rank_class >= 0]
    ones = np.ones(len(truth.masks))
    return Prediction(
        xyxy=truth.xyxy,
        score=ones,
        mask_score=ones,
        encoded=truth.encoded,
        ranked=ranked,
        masks=truth.masks[ranked],
        rank_class=rank_class,
    )


def true_order(prediction: Prediction, truth: Truth) -> Prediction:
    """The detections that show an object, each with the true rank of the object that it shows."""
    iou = mask_iou(truth.encoded, prediction.encoded)
    taken, ranks = [], []
    for row in np.argsort(-truth.rank_class, kind="stable"):
        if iou.shape[1] and iou[row].max() >= MATCHED:
            taken.append(int(iou[row].argmax()))
            ranks.append(int(truth.rank_class[row]))
            iou[:, taken[-1]] = 0
    masks = [coco_mask.decode(prediction.encoded[index]).astype(bool) for index in taken]
    return prediction._replace(
        ranked=np.array(taken, int),
        masks=np.array(masks).reshape(-1, *truth.grey.shape),
        rank_class=np.array(ranks, int),
    )


def best_iou(truth: Truth, prediction: Prediction) -> np.ndarray:
    """f[n] the IoU of each object with the detection that shows it best, 0 where none does."""
    iou = mask_iou(truth.encoded, prediction.encoded)
    return iou.max(axis=1) if iou.shape[1] else np.zeros(len(iou))
