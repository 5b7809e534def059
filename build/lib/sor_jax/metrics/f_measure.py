"""F-measure over the levels of two painted rank maps."""

import numpy as np

from sor_jax.metrics.places import places

BETA_SQUARED = 0.3


def painted_places(masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """i64[h, w]: the place of each object painted in list order on 0, the later on top.

    Args:
      masks: bool[n, h, w]; n may be 0.
      values: f[n], larger = more salient.
    """
    painted = np.zeros(masks.shape[1:], np.int64)
    for mask, place in zip(masks, places(values), strict=True):
        painted[mask] = place
    return painted


def f_measure_image(
    pred_masks: np.ndarray,
    pred_scores: np.ndarray,
    masks: np.ndarray,
    own_values: np.ndarray,
) -> float | None:
    """Mean F (beta^2 = 0.3) over the grey bands of the painted ground truth.

    Objects and predictions are painted as place / count. Every two neighbouring levels of the
    painted ground truth bound a band (lo, hi], and F compares the pixels of both maps in it.

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
    pairs = painted_places(masks, own_values) * (p + 1) + painted_places(pred_masks, pred_scores)
    # pixels[i, j]: how many show place i of the ground truth and place j of the prediction.
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
