"""Ways to rank a photograph that a model is compared with: rules, and itself with help.

Rules are given the true masks of the ranked objects and only put them in order. Help does a part of
the model's work for it, so that what it loses in the rest shows.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.record import Record, ranked_indices
from sor_jax.detectors.predict import Predictor
from sor_jax.metrics.scoreboard import Prediction, Truth, mask_iou
from sor_jax.structures import NUM_RANKS, Batch, Proposals

MATCHED = 0.5  # mask IoU from which a detection shows an object


def nearest_the_centre(truth: Truth) -> np.ndarray:
    """f[n] how salient each object is: less, the farther its mask's centre of mass lies from the
    photograph's, with height and width counted alike."""
    shape = np.array(truth.masks.shape[1:])
    centres = [np.argwhere(mask).mean(0) + 0.5 if mask.any() else shape for mask in truth.masks]
    return -np.linalg.norm(np.array(centres).reshape(-1, 2) / shape - 0.5, axis=1)


def larger_first(truth: Truth) -> np.ndarray:
    """f[n] the area of each object."""
    return truth.masks.sum((1, 2)).astype(float)


def at_random(seed: int) -> Callable[[Truth], np.ndarray]:
    """A rule that draws."""
    rng = np.random.default_rng(seed)
    return lambda truth: rng.random(len(truth.masks))


RULES = {
    "nearest the centre first": [nearest_the_centre],
    "larger first": [larger_first],
    "random, mean of 20": [at_random(seed) for seed in range(20)],
}


def in_order(truth: Truth, saliency: np.ndarray) -> Prediction:
    """The true masks, the five of highest f[n] `saliency` with ranks."""
    order = np.argsort(-saliency, kind="stable")[:NUM_RANKS]
    return _true_masks(truth, order, NUM_RANKS - 1 - np.arange(len(order)))


def true_masks(rank_class: np.ndarray, record: Record, truth: Truth) -> Prediction:
    """The true masks in the order that a model gave to the true boxes.

    Args:
      rank_class: i[m] of the m boxes, the most salient object first, as batches hold them.
      record, truth: the photograph.
    """
    objects = ranked_indices(record.rank_order)[: len(rank_class)]
    ranked = np.searchsorted(np.sort(ranked_indices(record.rank_order)), objects)
    return _true_masks(truth, ranked[rank_class >= 0], rank_class[rank_class >= 0])


def _true_masks(truth, ranked, rank_class):
    ones = np.ones(len(truth.masks))
    return Prediction(
        truth.xyxy, ones, ones, truth.encoded, ranked, truth.masks[ranked], rank_class
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
        masks=np.array(masks).reshape(-1, *truth.masks.shape[1:]),
        rank_class=np.array(ranks, int),
    )


@dataclasses.dataclass(frozen=True)
class TrueBoxes(Predictor):
    """Ranks and segments the boxes of the ranked objects, in the batch's slots."""

    def find(self, model, levels, images: Batch):
        """As of Predictor; the ground truth is what it finds."""
        valid = images.gt.boxes.valid & images.valid[:, None]
        boxes = dataclasses.replace(images.gt.boxes, valid=valid)
        return Proposals(boxes, jnp.where(valid, 1.0, 0.0)), jnp.ones(len(valid), bool)
