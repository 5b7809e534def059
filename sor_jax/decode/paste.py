"""Masks over boxes -> masks over photographs, on the host, as photographs differ in size."""

import numpy as np

THRESHOLD = 0.5


def paste_mask(
    prob: np.ndarray, xyxy: np.ndarray, hw: tuple[int, int], *, threshold: float = THRESHOLD
) -> np.ndarray:
    """bool[h, w]: the pixels whose centre reads a probability >= threshold from the box's cells.

    Takes prob f32[S, S] over the box `xyxy`, in pixels of a photograph of (height, width) `hw` and
    cut to it. Cells are read bilinearly, those outside the box as 0. An empty box gives an empty
    mask.
    """
    mask = np.zeros(hw, bool)
    x0, y0, x1, y1 = (float(v) for v in xyxy)
    if x1 <= x0 or y1 <= y0:
        return mask
    # Beyond the box a pixel reads less than half of a border cell.
    rows, columns = _pixels(y0, y1, hw[0]), _pixels(x0, x1, hw[1])
    down = _bilinear(rows, y0, y1, prob.shape[0])
    across = _bilinear(columns, x0, x1, prob.shape[1])
    value = down @ np.asarray(prob, np.float64) @ across.T
    mask[rows.start : rows.stop, columns.start : columns.stop] = value >= threshold
    return mask


def _pixels(low: float, high: float, size: int) -> range:
    return range(max(int(np.floor(low)), 0), min(int(np.ceil(high)), size))


def _bilinear(pixels: range, low: float, high: float, cells: int) -> np.ndarray:
    """Weights f64[pixels, cells] with which pixel centres read cells that share [low, high)."""
    index = cells * (np.arange(pixels.start, pixels.stop) + 0.5 - low) / (high - low) - 0.5
    return np.maximum(1 - np.abs(index[:, None] - np.arange(cells)), 0.0)
