"""nDCG of the order in which a saliency map ranks the objects."""

import numpy as np

TOP_SCORE = 5


def ndcg_image(
    pred_map: np.ndarray, masks: np.ndarray, own_scores: np.ndarray
) -> tuple[float, float] | None:
    """nDCG of one image with linear and with exponential (2^g - 1) gains.

    An object's value is the mean of the map inside it. The objects with a value > 0 take the scores
    5, 4, 3, .. in falling order (ties: the later object first), the others 0. An object's gain is
    5 - |own score - taken score|, the ideal gain 5, the discount 1 / log2(place + 1).

    Args:
      pred_map: u8 or f[h, w], larger = more salient.
      masks: bool[n, h, w], the ranked objects, at most five.
      own_scores: i[n], 5 = most salient .. 1.

    Returns:
      (linear, exponential), None for an image without objects.
    """
    if len(masks) == 0:
        return None
    values = np.array([pred_map[mask].mean() if mask.any() else 0.0 for mask in masks])
    taken = np.zeros(len(masks))
    for place, index in enumerate(_falling(values)):
        taken[index] = TOP_SCORE - place if values[index] > 0 else 0
    order = _falling(np.asarray(own_scores))
    gain = TOP_SCORE - np.abs(np.asarray(own_scores) - taken)[order]
    discount = 1 / np.log2(np.arange(len(masks)) + 2)
    linear = gain @ discount / (TOP_SCORE * discount.sum())
    exponential = (2**gain - 1) @ discount / ((2**TOP_SCORE - 1) * discount.sum())
    return float(linear), float(exponential)


def _falling(values: np.ndarray) -> np.ndarray:
    """Indices in falling value, of equal ones the later first."""
    return np.argsort(values, kind="stable")[::-1]
