"""What annotations of a photograph must fulfil, whatever files they come from.

Every message says what was found and what was expected; callers add the file and the record.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.masks import clean_segmentation, extents, is_numbers, no_mask, to_rle
from sor_jax.metrics.sor import NUM_RANKS

XYXY, XYWH = "x0 y0 x1 y1", "x y width height"
# Each turns a box of its kind into x0 y0 x1 y1.
BOX_FORMATS: dict[str, Callable] = {
    XYXY: lambda box, photo_hw: box,
    XYWH: lambda box, photo_hw: np.concatenate([box[:2], box[:2] + box[2:]]),
    "y0 x0 y1 x1": lambda box, photo_hw: box[[1, 0, 3, 2]],
    "centre x y width height": lambda box, photo_hw: np.concatenate(
        [box[:2] - box[2:] / 2, box[:2] + box[2:] / 2]
    ),
    "x0 y0 x1 y1 in shares of the photograph": lambda box, photo_hw: (
        box * np.tile(photo_hw[::-1], 2)
    ),
}
SLACK = 1.0  # pixels that rounding may move a box beyond the photograph
_NEAR = 2.0  # pixels between a box and its mask that say nothing
_LEAST_IOU = 0.5  # of a box with the smallest one around its mask
_FITS, _DOES_NOT = 0.9, 0.8  # such an IoU of another way to read a box, and of its own


class Checked(NamedTuple):
    """The objects of a photograph that can be used.

    Attributes:
      objects: as sor_jax.datasets.features wants them.
      masks: their COCO RLEs.
      kept: which of the file's objects they are.
      unusable: what is wrong with the others, none of which has a rank.
    """

    objects: list[dict]
    masks: list[dict]
    kept: list[int]
    unusable: list[str]


def check_objects(
    entries: list,
    ranks: list,
    *,
    photo_hw: tuple[int, int],
    box_format: str = XYXY,
    num_ranks: int = NUM_RANKS,
    masks: bool = True,
) -> Checked:
    """The objects of a photograph from {"bbox": [..], "segmentation": ..} and rank values.

    `box_format` says what the four numbers of a box are, a name of BOX_FORMATS. `ranks` are rank
    values as of `check_rank_values`. An object without a rank may be anything: it is left out where
    its box or mask cannot be used. `masks` False is for sets without masks: none is read. Raises
    ValueError for what is wrong with any other.
    """
    if not isinstance(entries, list) or not isinstance(ranks, list):
        raise ValueError("the objects and the rank values must be lists")
    if len(entries) != len(ranks):
        raise ValueError(
            f"{len(entries)} objects but {len(ranks)} rank values; one each is expected"
        )
    check_rank_values(ranks, num_ranks)
    checked = Checked([], [], [], [])
    for index, (entry, rank) in enumerate(zip(entries, ranks, strict=True)):
        try:
            thing, mask = _check_object(entry, rank, photo_hw, box_format, masks)
        except ValueError as error:
            if rank > 0.5:
                raise ValueError(f"object {index}: {error}") from error
            checked.unusable.append(f"object {index}: {error}")
        else:
            checked.objects.append(thing)
            checked.masks.append(mask)
            checked.kept.append(index)
    return checked


def check_most_usable(unusable: list[str], usable: int, *, where: str = "") -> None:
    """Raises ValueError where more than half of a set's objects cannot be used."""
    if len(unusable) > usable:
        raise ValueError(
            f"{where}{len(unusable)} of {len(unusable) + usable} objects cannot be used, more than "
            f"half; that is a mistake of the set. The first: {unusable[0]}"
        )


def check_annotation(
    boxes: np.ndarray,
    rank_order: np.ndarray,
    masks: list[dict | None],
    photo_hw: tuple[int, int],
) -> None:
    """Raises ValueError where objects of a stored photograph cannot be true.

    Args:
      boxes: f[n, 4] x0 y0 x1 y1 in pixels of the photograph, where the masks are.
      rank_order: f[n] see `check_rank_values`, of however many ranks.
      masks: n COCO RLEs; that of an object with a rank has a pixel. None for an object without one.
      photo_hw: height and width of the photograph.
    """
    if not len(boxes) == len(rank_order) == len(masks):
        raise ValueError(
            f"{len(boxes)} boxes, {len(rank_order)} rank values and {len(masks)} masks; one each "
            "of an object is expected"
        )
    values = [float(value) for value in rank_order]
    check_rank_values(values, _num_ranks_of(values))
    for index, (box, mask) in enumerate(zip(boxes, masks, strict=True)):
        try:
            extent = extents([mask])[0] if mask and coco_mask.area(mask) else None
            _check_box(box, extent, photo_hw)
            if rank_order[index] > 0.5 and mask and extent is None:
                raise ValueError("it has a rank, but its mask has no pixel")
        except ValueError as error:
            raise ValueError(f"object {index}: {error}") from error


def value_of_place(place: int, num_ranks: int = NUM_RANKS) -> float:
    """What stands for rank `place` + 1 of K ranks: 1 - place / 2K, of five 1.0 .9 .8 .7 .6."""
    return 1 - place / (2 * num_ranks)


def check_rank_values(values: list, num_ranks: int = NUM_RANKS) -> None:
    """Raises ValueError unless those above .5 are those of `value_of_place`, from the top.

    Each comes once and with no gap: of five ranks they are 1.0 .9 .8 .7 .6. All others, however
    small, say that their object has no rank.
    """
    for index, value in enumerate(values):
        if not is_numbers([value]) or value > 1 + 1e-3:
            kind = "the text " if isinstance(value, str) else ""
            raise ValueError(
                f"object {index}: rank value is {kind}{value!r}; expected one of the numbers "
                f"{_some(num_ranks, num_ranks)}, or at most .5 for none"
            )
    ranked = sorted((value for value in values if value > 0.5), reverse=True)
    if len(ranked) > num_ranks or any(
        abs(value - value_of_place(place, num_ranks)) > 1e-3 for place, value in enumerate(ranked)
    ):
        found = " ".join(f"{value:.4g}" for value in ranked)
        raise ValueError(
            f"rank values above .5 are {found}; expected {_some(len(ranked), num_ranks)}: ranks 1 "
            f"to {num_ranks} (config.model.num_ranks) are {_some(num_ranks, num_ranks)}, from the "
            "top, each once and with no gap"
        )


def _num_ranks_of(values: list[float]) -> int:
    """Of how many ranks these values are: their highest two say it; NUM_RANKS where they do not."""
    highest = sorted(values, reverse=True)[:2]
    if len(highest) == 2 and 0.5 < highest[1] < 1:
        return round(1 / (2 * (1 - highest[1])))
    return NUM_RANKS


def _some(count: int, num_ranks: int) -> str:
    return " ".join(
        f"{round(value_of_place(place, num_ranks), 4)}" for place in range(min(count, num_ranks))
    )


def _check_object(entry: dict, rank: float, photo_hw, box_format: str, has_mask: bool):
    """The object as sor_jax.datasets.features wants it, and its RLE."""
    if not isinstance(entry, dict):
        raise ValueError(f"is {entry!r:.60}; expected fields bbox and segmentation")
    wanted = ("bbox", "segmentation") if has_mask else ("bbox",)
    lacking = [name for name in wanted if name not in entry]
    if lacking:
        raise ValueError(f"no field {lacking[0]!r}")
    box = entry["bbox"]
    if not is_numbers(box) or len(box) != 4:
        raise ValueError(f"bbox is {box!r}; expected four numbers {box_format}")
    segmentation, mask, extent = None, no_mask(photo_hw), None
    if has_mask:
        segmentation = clean_segmentation(entry["segmentation"], photo_hw)
        mask = to_rle(segmentation, photo_hw)
        if not coco_mask.area(mask):
            raise ValueError("its mask has no pixel")
        extent = extents([mask])[0]
    box = _check_box(box, extent, photo_hw, box_format)
    thing = {"bbox": box, "rank_order": np.float32(rank), "segmentation": json.dumps(segmentation)}
    return thing, mask


def _check_box(
    numbers, extent: np.ndarray | None, photo_hw: tuple[int, int], box_format: str = XYXY
) -> np.ndarray:
    """f32[4] x0 y0 x1 y1, held against the photograph and the smallest box around its mask."""
    named = f"bbox is {[round(float(side), 2) for side in numbers]}"
    if not np.isfinite(numbers).all() or len(numbers) != 4:
        raise ValueError(f"{named}; expected {box_format} in pixels")
    box = np.asarray(BOX_FORMATS[box_format](np.asarray(numbers, float), photo_hw), np.float32)
    elsewhere = None if extent is None or _agrees(box, extent, _DOES_NOT) else extent
    other = None if elsewhere is None else _other_format(numbers, elsewhere, photo_hw)
    if other is not None:
        raise ValueError(
            f"{named}, which fits its mask as {other} but not as {box_format}, which is expected"
        )
    x0, y0, x1, y1 = (float(side) for side in box)
    if x1 < x0 or y1 < y0:
        raise ValueError(f"{named}; expected {box_format} in pixels; it ends before it begins")
    if x1 == x0 or y1 == y0:
        raise ValueError(f"{named}; it has no area")
    height, width = photo_hw
    if min(x0, y0) < -SLACK or x1 > width + SLACK or y1 > height + SLACK:
        raise ValueError(f"{named}; it reaches out of the photograph of {width} x {height}")
    if elsewhere is not None and not _agrees(box, elsewhere, _LEAST_IOU):
        raise ValueError(
            f"{named} ({box_format}), but its mask lies in x0 y0 x1 y1 "
            f"{[round(float(side), 1) for side in elsewhere]}"
        )
    return box


def _other_format(numbers, extent, photo_hw: tuple[int, int]) -> str | None:
    """How else a box could be read so that it fits its mask."""
    numbers = np.asarray(numbers, float)
    readings = ((name, read(numbers, photo_hw)) for name, read in BOX_FORMATS.items())
    return next((name for name, box in readings if box_iou(box, extent) >= _FITS), None)


def _agrees(box, extent, least_iou: float) -> bool:
    return np.abs(np.subtract(box, extent)).max() <= _NEAR or box_iou(box, extent) >= least_iou


def box_iou(a, b) -> float:
    """IoU of two boxes x0 y0 x1 y1; 0 where the first has no area."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if (a[2:] <= a[:2]).any():
        return 0.0
    both = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both))
