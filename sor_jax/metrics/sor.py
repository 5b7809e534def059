"""Rank maps, and SOR: how well the order of the painted objects follows the order of the true ones.

SOR is Spearman's rho per image, averaged over the images where at least one object is matched, then
moved to 0..1. An image with one matched object counts as 1, so missing objects raises SOR:
`sor_multi` and `objects_matched` stand beside it everywhere. Protocol: the ASSR benchmark's.
"""

from collections.abc import Sequence

import numpy as np

NUM_RANKS = 5
"""Of ASSR, and of every model that config.model.num_ranks says no other number for."""
NO_RANK = -1


def greys_of_classes(num_ranks: int = NUM_RANKS) -> tuple[int, ...]:
    """The grey of rank class 0 .. K - 1 (K - 1 = most salient): int(255 * (1 - place / 2K))."""
    return tuple(255 * (rank + num_ranks + 1) // (2 * num_ranks) for rank in range(num_ranks))


def paint(masks: np.ndarray, greys: np.ndarray) -> np.ndarray:
    """u8[h, w]: masks bool[n, h, w] in greys i[n] on 0, smaller ones on top, equal ones the later.

    n may be 0.
    """
    painted = np.zeros(masks.shape[1:], np.uint8)
    for index in np.argsort(-np.count_nonzero(masks, axis=(1, 2)), kind="stable"):
        painted[masks[index]] = greys[index]
    return painted


def rank_map(masks: np.ndarray, rank_class: np.ndarray, num_ranks: int = NUM_RANKS) -> np.ndarray:
    """The ranked objects in their greys, smaller ones on top.

    Args:
      masks: bool[n, h, w]; n may be 0.
      rank_class: i[n], K - 1 = most salient .. 0; an object below 0 has no rank and is not painted.
      num_ranks: K.

    Returns:
      u8[h, w]: the greys of `greys_of_classes`, of five ranks 255 229 204 178 153 for classes 4..0,
      and 0 elsewhere.
    """
    rank_class = np.asarray(rank_class, int)
    is_ranked = rank_class >= 0
    greys = np.take(greys_of_classes(num_ranks), rank_class[is_ranked])
    return paint(masks[is_ranked], greys)


def matched_values(pred_map: np.ndarray, masks: np.ndarray) -> list[int | None]:
    """The grey that each object takes from a rank map.

    It is the most frequent non-zero grey inside the object (equally frequent: the smallest) where
    more than int(0.5 * pixels of the object) are non-zero, else None.

    Args:
      pred_map: u8[h, w] or u16[h, w].
      masks: bool[n, h, w].
    """
    values = []
    for mask in masks:
        counts = np.bincount(pred_map[mask], minlength=256)
        painted = counts[1:].sum()
        is_matched = painted > int(0.5 * counts.sum())
        values.append(int(counts[1:].argmax()) + 1 if is_matched else None)
    return values


def mean_values(pred_map: np.ndarray, masks: np.ndarray) -> list[float | None]:
    """As matched_values, for maps of any greys: the mean inside the object, None where it is 0.

    pred_map u8[h, w], masks bool[n, h, w]; n values.
    """
    return [float(pred_map[mask].mean()) if pred_map[mask].any() else None for mask in masks]


def sor_image(
    pred_map: np.ndarray, masks: np.ndarray, own_values: np.ndarray
) -> tuple[float | None, int]:
    """Spearman's rho of one image, and how many of its objects are matched.

    Args:
      pred_map: u8[h, w], the predicted rank map.
      masks: bool[n, h, w], the ranked objects.
      own_values: f[n], larger = more salient.

    Returns:
      (rho, matched). rho is 1 for exactly one matched object (by convention) and None where it is
      undefined: no matched object, or one side constant.
    """
    return agreement(matched_values(pred_map, masks), own_values)


def agreement(
    values: Sequence[float | None], own_values: Sequence[float] | np.ndarray
) -> tuple[float | None, int]:
    """As sor_image, from the values that the n objects take from a map, None = none."""
    pairs = [
        (own, value) for own, value in zip(own_values, values, strict=True) if value is not None
    ]
    if not pairs:
        return None, 0
    if len(pairs) == 1:
        return 1.0, 1
    own, predicted = np.asarray(pairs, np.float64).T
    return pearson(mean_ranks(own), mean_ranks(predicted)), len(pairs)


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """f64[n]: the places of f[n] in ascending order, from 1; equal ones share their mean place.

    As scipy.stats.rankdata, whose import takes longer than the rest of an evaluation's.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def ascending_ranks(values: np.ndarray) -> np.ndarray:
    """i[n] the rank of every value of f[n]: 1 + how many are smaller; equal values share one.

    So the least salient has rank 1: other than people's ranks, where 1 is seen first.
    """
    values = np.asarray(values)
    return 1 + (values[None, :] < values[:, None]).sum(axis=1)


def pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's r of two f[n], None where a side is constant or empty."""
    if a.size == 0 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1.0, 1.0))


def sor_summary(
    rho: Sequence[float | None], matched: Sequence[int], num_objects: Sequence[int]
) -> dict[str, float | int | None]:
    """SOR over a data set from what `sor_image` gave; three values per image, in any order.

    Args:
      rho: one per image, None = undefined (the image is not used).
      matched: matched objects of each image.
      num_objects: ranked objects of each image.

    Returns:
      sor (0..1, None without a used image), images_used, images, sor_multi (the same over images
      with two or more matched objects), multi_images, objects_matched, objects.
    """
    used = [r for r in rho if r is not None]
    multi = [r for r, n in zip(rho, matched, strict=True) if r is not None and n >= 2]
    return {
        "sor": _to_unit(used),
        "images_used": len(used),
        "images": len(rho),
        "sor_multi": _to_unit(multi),
        "multi_images": len(multi),
        "objects_matched": int(sum(matched)),
        "objects": int(sum(num_objects)),
    }


def _to_unit(rho: list[float]) -> float | None:
    return (float(np.mean(rho)) + 1) / 2 if rho else None
