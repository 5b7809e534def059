"""Metrics of grey rank maps, image by image: MAE, F-measure and nDCG."""

import numpy as np

from sor_jax.metrics.sor import NUM_RANKS, ascending_ranks

BETA_SQUARED = 0.3  # of the F-measure


def mae_image(pred_map: np.ndarray, true_map: np.ndarray) -> float:
    """Mean over the pixels of |prediction - ground truth|, 0..1.

    Args:
      pred_map: u8[h, w] or u16[h, w], white = the largest number of the type.
      true_map: the data set's grey map, of the same type.
    """
    if pred_map.shape != true_map.shape:
        raise ValueError(
            f"the predicted map is {pred_map.shape}, the true one {true_map.shape}; "
            "both must have the photograph's size (height, width)"
        )
    difference = np.maximum(pred_map, true_map) - np.minimum(pred_map, true_map)
    return float(difference.mean(dtype=np.float64)) / np.iinfo(pred_map.dtype).max


def painted_ranks(masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """i64[h, w]: the ascending rank of each object, painted in list order on 0, the later on top.

    Args:
      masks: bool[n, h, w]; n may be 0.
      values: f[n], larger = more salient.
    """
    painted = np.zeros(masks.shape[1:], np.int64)
    for mask, rank in zip(masks, ascending_ranks(values), strict=True):
        painted[mask] = rank
    return painted


def f_measure_image(
    pred_masks: np.ndarray,
    pred_scores: np.ndarray,
    masks: np.ndarray,
    own_values: np.ndarray,
) -> float | None:
    """Mean F (beta^2 = 0.3) over the grey bands of the painted ground truth.

    Objects and predictions are painted as ascending rank / count. Every two neighbouring levels of
    the painted ground truth bound a band (lo, hi], and F compares the pixels of both maps in it.

    Args:
      pred_masks: bool[p, h, w]; p may be 0.
      pred_scores: f[p], larger = more salient.
      masks: bool[n, h, w], the ranked objects.
      own_values: f[n], larger = more salient.

    Returns:
      The mean over bands, None where the ground truth has fewer than two levels. F of a band is 0
      where nothing is predicted or hit.
    """
    p, n = len(pred_masks), len(masks)
    pairs = painted_ranks(masks, own_values) * (p + 1) + painted_ranks(pred_masks, pred_scores)
    # pixels[i, j]: how many show rank i of the ground truth and rank j of the prediction.
    pixels = np.bincount(pairs.ravel(), minlength=(n + 1) * (p + 1)).reshape(n + 1, p + 1)
    true_levels, pred_levels = np.arange(n + 1) / max(n, 1), np.arange(p + 1) / max(p, 1)
    occurring = true_levels[pixels.sum(axis=1) > 0]
    bands = zip(occurring[:-1], occurring[1:], strict=True)
    scores = [_f_of_band(pixels, true_levels, pred_levels, band) for band in bands]
    return float(np.mean(scores)) if scores else None


def _f_of_band(pixels, true_levels, pred_levels, band) -> float:
    low, high = band
    is_true = (true_levels > low) & (true_levels <= high)
    is_pred = (pred_levels > low) & (pred_levels <= high)
    hits = pixels[is_true][:, is_pred].sum()
    if hits == 0:
        return 0.0
    precision, recall = hits / pixels[:, is_pred].sum(), hits / pixels[is_true].sum()
    return (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)


def ndcg_image(
    pred_map: np.ndarray,
    masks: np.ndarray,
    own_scores: np.ndarray,
    top_score: int = NUM_RANKS,
) -> tuple[float, float] | None:
    """nDCG of one image with linear and with exponential (2^g - 1) gains.

    An object's value is the mean of the map inside it. The objects with a value > 0 take the scores
    5, 4, 3, .. in falling order (ties: the later object first), the others 0. An object's gain is
    5 - |own score - taken score|, the ideal gain 5, the discount 1 / log2(place + 1).
    `top_score` stands for the 5 wherever there are more ranks.

    Args:
      pred_map: u8 or f[h, w], larger = more salient.
      masks: bool[n, h, w], the ranked objects, at most `top_score`.
      own_scores: i[n], top_score = most salient .. 1.

    Returns:
      (linear, exponential), None for an image without objects.
    """
    if len(masks) == 0:
        return None
    values = np.array([pred_map[mask].mean() if mask.any() else 0.0 for mask in masks])
    taken = np.zeros(len(masks))
    for place, index in enumerate(_falling(values)):
        taken[index] = top_score - place if values[index] > 0 else 0
    order = _falling(np.asarray(own_scores))
    gain = top_score - np.abs(np.asarray(own_scores) - taken)[order]
    discount = 1 / np.log2(np.arange(len(masks)) + 2)
    linear = gain @ discount / (top_score * discount.sum())
    exponential = (2**gain - 1) @ discount / ((2**top_score - 1) * discount.sum())
    return float(linear), float(exponential)


def _falling(values: np.ndarray) -> np.ndarray:
    """Indices in falling value, of equal ones the later first."""
    return np.argsort(values, kind="stable")[::-1]
