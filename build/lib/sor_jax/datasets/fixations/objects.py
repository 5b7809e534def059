"""Which object a fixation is on."""

import numpy as np
import scipy.ndimage
import scipy.spatial

from sor_jax.datasets.fixations.looks import Looks

NONE = -1


def own_pixels(masks: np.ndarray) -> np.ndarray:
    """The object that each pixel belongs to: of those that cover it the smallest.

    Args:
      masks: bool[n, h, w]; of equal areas the later is on top, as in rank maps.

    Returns:
      i64[h, w], NONE where no object is.
    """
    owner = np.full(masks.shape[1:], NONE)
    for index in np.argsort(-np.count_nonzero(masks, axis=(1, 2)), kind="stable"):
        owner[masks[index]] = index
    return owner


def objects_looked_at(looks: Looks, owner: np.ndarray, *, margin: float = 0.0) -> np.ndarray:
    """The object that each fixation is on.

    A fixation off every object, outside the photograph too, goes to the nearest within the margin.

    Args:
      looks: n fixations.
      owner: i64[h, w] see `own_pixels`.
      margin: pixels, from the fixation to the centre of an object's nearest own pixel; equally
        near: the smaller object, by own pixels.

    Returns:
      i64[n], NONE for a fixation on no object.
    """
    height, width = owner.shape
    rows, columns = looks.pixels().T
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = np.full(len(rows), NONE)
    found[inside] = owner[rows[inside], columns[inside]]
    lost = np.flatnonzero(found == NONE)
    if margin > 0 and len(lost):
        found[lost] = _nearest(looks.xy[lost], owner, margin)
    return found


def outside(looks: Looks, image_hw: tuple[int, int]) -> int:
    """How many fixations lie outside the photograph."""
    rows, columns = looks.pixels().T
    height, width = image_hw
    return int(((rows < 0) | (rows >= height) | (columns < 0) | (columns >= width)).sum())


def _nearest(xy: np.ndarray, owner: np.ndarray, margin: float) -> np.ndarray:
    nearest, distance = np.full(len(xy), NONE), np.full(len(xy), np.inf)
    present, sizes = np.unique(owner[owner != NONE], return_counts=True)
    for index in present[np.argsort(sizes, kind="stable")]:
        own = owner == index
        edge = own & ~scipy.ndimage.binary_erosion(own)
        centres = np.argwhere(edge)[:, ::-1] + 0.5
        away, _ = scipy.spatial.KDTree(centres).query(xy)
        nearer = (away <= margin) & (away < distance)
        nearest[nearer], distance[nearer] = index, away[nearer]
    return nearest
