"""Rules that are given the true masks of the ranked objects and only put them in order."""

from collections.abc import Callable

import numpy as np

from sor_jax.metrics.scoreboard import Prediction, Truth
from sor_jax.structures import NUM_RANKS


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


def in_order(truth: Truth, saliency: np.ndarray) -> Prediction:
    """The true masks, the five of highest f[n] `saliency` with ranks."""
    order = np.argsort(-saliency, kind="stable")[:NUM_RANKS]
    return Prediction(
        xyxy=truth.xyxy,
        score=np.ones(len(truth.masks)),
        mask_score=np.ones(len(truth.masks)),
        encoded=truth.encoded,
        ranked=order,
        masks=truth.masks[order],
        rank_class=NUM_RANKS - 1 - np.arange(len(order)),
    )
