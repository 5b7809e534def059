"""A look at a whole data set before anybody trains on it: counts, what is suspicious, and leaks."""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from sor_jax.datasets.checks import box_iou
from sor_jax.datasets.masks import extents
from sor_jax.datasets.record import Record

_HASH_SIDE = 16  # a picture's hash has 16 x 16 bits
_SAME_BITS = 12  # so many may differ between a picture and its copy, scaled or compressed anew
_TINY = 5e-4  # share of the photograph
_OVERLAP = 0.5  # IoU of two masks
_BOX_FIT = 0.6  # IoU of a box with the one around its mask
_MANY = 200  # records from which on several processes look


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is found in one record.

    Attributes:
      split, index, image_id: which one it is.
      objects, ranked: how many there are.
      suspicions: (weight, sentence) each; the larger the weight, the likelier a mistake.
      picture_hash: bool[256] of the photograph; all False where it is too flat to be told by one.
    """

    split: str
    index: int
    image_id: str
    objects: int
    ranked: int
    suspicions: list[tuple[float, str]]
    picture_hash: np.ndarray

    @property
    def weight(self) -> float:
        """How suspicious the record is."""
        return sum(weight for weight, _ in self.suspicions)


def look_at(source, split: str) -> Iterator[Facts]:
    """The facts of each record of a split; of many records on all cores."""
    examine = functools.partial(_facts, source, split)
    if len(source) < _MANY:
        yield from map(examine, range(len(source)))
        return
    # Not forked: the readers of the records run threads.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context) as pool:
        yield from pool.map(examine, range(len(source)), chunksize=16)


def copies(facts: list[Facts]) -> list[tuple[Facts, Facts]]:
    """Pairs of records whose photographs look the same, by their hashes."""
    told = [one for one in facts if one.picture_hash.any()]
    if len(told) < 2:
        return []
    bits = np.stack([one.picture_hash for one in told]).astype(np.float32)
    ones, pairs = bits.sum(axis=1), []
    for start in range(0, len(told), 512):
        block = bits[start : start + 512]
        differ = ones[start : start + 512, None] + ones - 2 * block @ bits.T
        for i, j in np.argwhere(differ <= _SAME_BITS):
            if start + i < j:
                pairs.append((told[start + i], told[j]))
    return pairs


def _facts(source, split: str, index: int) -> Facts:
    record = source[index]
    return Facts(
        split=split,
        index=index,
        image_id=record.image_id,
        objects=len(record.boxes),
        ranked=int((record.rank_order > 0.5).sum()),
        suspicions=suspicions(record),
        picture_hash=picture_hash(record.image),
    )


def suspicions(record: Record) -> list[tuple[float, str]]:
    """What may be wrong with a record that can be read; (weight 0..1, sentence) each."""
    height, width = record.image.shape[:2]
    masks = record.masks
    classes = record.rank_class
    found = []
    area, around = [coco_mask.area(mask) for mask in masks], extents(masks)
    for index in np.flatnonzero((classes >= 0) & record.has_mask):
        if area[index] < _TINY * height * width:
            found.append((0.3, f"object {index} has a rank and {area[index]} pixels"))
        fit = box_iou(record.boxes[index], around[index])
        if fit < _BOX_FIT:
            found.append((1.0 - fit, f"box {index} covers its mask's with IoU {fit:.2f}"))
    ranks = np.sort(record.num_ranks - 1 - classes[classes >= 0])
    if not np.array_equal(ranks, np.arange(len(ranks))):
        found.append((1.0, f"ranks are {', '.join(str(rank + 1) for rank in ranks)}"))
    if len(masks) > 1:
        overlap = coco_mask.iou(masks, masks, [0] * len(masks))
        np.fill_diagonal(overlap, 0)
        i, j = np.unravel_index(overlap.argmax(), overlap.shape)
        if overlap[i, j] > _OVERLAP:
            found.append(
                (0.5 * overlap[i, j], f"masks {i}, {j} overlap with IoU {overlap.max():.2f}")
            )
    return found


def picture_hash(image: np.ndarray) -> np.ndarray:
    """bool[256]: where a picture u8[h, w, 3] gets brighter to the right, on a grid of 16 x 16.

    It is the same for scaled and compressed copies to a few bits ("difference hash"). A picture
    with hardly any contrast has none.
    """
    grid = Image.fromarray(image).convert("L")
    grid = grid.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX)
    values = np.asarray(grid, int)
    if values.std() < 4:
        return np.zeros(_HASH_SIDE**2, bool)
    return (np.diff(values, axis=1) > 0).ravel()
