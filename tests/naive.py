"""Geometry in plain Python, one box at a time: what the array code is compared with."""

import numpy as np


def iou(a, b):
    """Intersection over union of two boxes x0 y0 x1 y1; empty boxes overlap with nothing."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return width * height / (sum(areas) - width * height)


def greedy_nms(xyxy, score, threshold):
    """Indices of the boxes that survive, in falling score (equal: the first)."""
    kept = []
    for i in sorted(range(len(xyxy)), key=lambda i: -score[i]):
        if all(iou(xyxy[i], xyxy[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def random_boxes(rng, n, *, span=100, longest=60):
    """f32[n, 4] on a grid of quarters, so that sums and halves are exact in float32."""
    corner = rng.integers(-40, 4 * span, (n, 2)) / 4
    side = rng.integers(1, 4 * longest, (n, 2)) / 4
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def jittered(rng, xyxy, copies, *, by=5):
    """f32[n * copies, 4]: copies whose sides are moved by up to `by` pixels."""
    moves = rng.integers(-4 * by, 4 * by, (len(xyxy) * copies, 4)) / 4
    return (np.repeat(xyxy, copies, axis=0) + moves).astype(np.float32)
