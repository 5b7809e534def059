"""The window of a given shape that keeps the most of what people look at."""

from collections.abc import Sequence

import numpy as np

from sor_jax.metrics.sor import NUM_RANKS


def parse_aspect(aspect: str | float | tuple[float, float]) -> float:
    """Width / height from "4:5", (4, 5) or 0.8."""
    try:
        if isinstance(aspect, str):
            width, _, height = aspect.replace("x", ":").partition(":")
            value = float(width) / float(height or 1)
        elif isinstance(aspect, int | float):
            value = float(aspect)
        else:
            across, down = aspect
            value = across / down
        if not 0.01 <= value <= 100:
            raise ValueError
    except (ValueError, TypeError, ZeroDivisionError):
        raise ValueError(
            f"the aspect is {aspect!r}; expected WIDTH:HEIGHT, such as 4:5 or 1:1"
        ) from None
    return value


def best_window(
    masks: Sequence[np.ndarray] | np.ndarray,
    ranks: Sequence[int],
    aspect: float,
    hw: tuple[int, int],
    *,
    num_ranks: int = NUM_RANKS,
) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), whole pixels, of the window that keeps the most.

    The window is the largest of that aspect in the photograph: as wide or as high as it, so it
    moves along one side only. An object of rank r weighs K + 1 - r, spread evenly over its mask,
    however large it is; a window keeps the sum of what lies in it. Of all windows

    1. those count that hold all of the first object (of lowest rank), if any does;
    2. of these the ones that keep the most weight;
    3. of these the one whose middle is nearest the weight's centre, else nearest the top or left.

    Without objects it lies in the middle.

    Args:
      masks: bool[h, w] of each object; empty ones count for nothing.
      ranks: 1 = most salient .. K.
      aspect: width / height.
      hw: height and width of the photograph.
      num_ranks: K.
    """
    weights = [num_ranks + 1 - rank for rank in ranks]
    height, width = hw
    along_x = width / height > aspect
    size = (round(height * aspect), height) if along_x else (width, round(width / aspect))
    span, room = max(size[0 if along_x else 1], 1), width if along_x else height
    span = min(span, room)
    start = _best_start(_profiles(masks, weights, 0 if along_x else 1), span, room)
    return (start, 0, start + span, height) if along_x else (0, start, width, start + span)


def _profiles(masks, weights, axis) -> list[np.ndarray]:
    """Of each object, the heaviest first, its weight at every place along the free side."""
    profiles = []
    for weight, mask in sorted(zip(weights, masks, strict=True), key=lambda item: -item[0]):
        counts = np.count_nonzero(mask, axis=axis)
        if counts.any():
            profiles.append(weight * counts / counts.sum())
    return profiles


def _best_start(profiles: list[np.ndarray], span: int, room: int) -> int:
    starts = np.arange(room - span + 1)
    if not profiles:
        return int((room - span) // 2)
    first = np.flatnonzero(profiles[0])
    holds_first = (starts <= first[0]) & (starts + span > first[-1])
    starts = starts[holds_first] if holds_first.any() else starts
    weight = np.sum(profiles, axis=0)
    before = np.concatenate([[0.0], np.cumsum(weight)])
    kept = before[starts + span] - before[starts]
    starts = starts[kept >= kept.max() - 1e-9]
    centre = np.sum(weight * (np.arange(room) + 0.5)) / np.sum(weight)
    return int(starts[np.argmin(np.abs(starts + span / 2 - centre))])
