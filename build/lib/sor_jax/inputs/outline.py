"""Polygons as edges, which fit into arrays of a fixed size."""

import numpy as np


def edges_of(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The edges of an object's parts, f32[e, 4] x0 y0 x1 y1, and i32[e], the part of each.

    Every part f32[v, 2] is closed and turned so that its area, the sum of x0 y1 - x1 y0 over two,
    is not negative. Edges without length are left out.
    """
    edges = [_closed(part) for part in parts]
    part = np.repeat(np.arange(len(parts), dtype=np.int32), [len(e) for e in edges])
    return np.concatenate([np.zeros((0, 4), np.float32), *edges]), part


def _closed(part):
    ends = np.roll(part, -1, axis=0)
    x, y = part.astype(np.float64).T
    if x @ ends[:, 1] < y @ ends[:, 0]:
        part, ends = ends[::-1], part[::-1]
    edges = np.concatenate([part, ends], axis=1)
    return edges[(part != ends).any(axis=1)]
