"""SA-SOR: segmentation-aware ranking, Pearson's r over objects matched by mask IoU."""

from collections.abc import Iterable

import numpy as np

from sor_jax.metrics.sor import ascending_ranks, pearson


def match_by_iou(iou: np.ndarray, *, threshold: float = 0.5) -> np.ndarray:
    """The prediction that each object takes, i[n], -1 = none; a prediction serves one object.

    Each object takes its prediction of highest IoU (equal: the first) if that reaches the
    threshold; of several objects on one prediction the highest IoU keeps it (equal: the last).

    Args:
      iou: f[n objects, p predictions].
      threshold: the least IoU of a match.
    """
    taken = np.full(len(iou), -1)
    if iou.size == 0:
        return taken
    best, best_iou = iou.argmax(axis=1), iou.max(axis=1)
    for prediction in np.unique(best[best_iou >= threshold]):
        rivals = np.flatnonzero((best == prediction) & (best_iou >= threshold))
        keeps = rivals[best_iou[rivals] == best_iou[rivals].max()][-1]
        taken[keeps] = prediction
    return taken


def sa_sor_image(
    iou: np.ndarray, scores: np.ndarray, own_values: np.ndarray, *, threshold: float = 0.5
) -> float | None:
    """Pearson's r between the objects' own ranks and those of the predictions they take.

    Ranks ascend, 1 = least salient. A taken prediction has the rank of its score among all
    predictions when these outnumber the objects, else among the taken ones; an object without a
    prediction has 0.

    Args:
      iou: f[n, p] mask IoU of the ranked objects with the predictions.
      scores: f[p], larger = more salient.
      own_values: f[n], larger = more salient.
      threshold: the least IoU of a match.

    Returns:
      None where the image is left out: fewer than two objects. Else 0 where the predicted ranks do
      not vary (nothing predicted, too), None where the own ones do not, else r.
    """
    num_objects, num_predictions = iou.shape
    if num_objects < 2:
        return None
    taken = match_by_iou(iou, threshold=threshold)
    hit = taken >= 0
    predicted = np.zeros(num_objects)
    if num_predictions > num_objects:
        predicted[hit] = ascending_ranks(scores)[taken[hit]]
    else:
        predicted[hit] = ascending_ranks(np.asarray(scores)[taken[hit]])
    if np.ptp(predicted) == 0:
        return 0.0
    return pearson(predicted, ascending_ranks(own_values).astype(np.float64))


def mean_defined(values: Iterable[float | None]) -> float | None:
    """The mean over the images that have a value, None where no image has one."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
