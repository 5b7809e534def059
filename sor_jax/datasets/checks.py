"""What annotations of a photograph must fulfil, whatever files they come from.

Every message says what was found and what was expected; callers add the file and the record.
"""

import math

import numpy as np
from pycocotools import mask as coco_mask

SLACK = 1.0  # pixels that rounding may move a box beyond the photograph


def check_annotation(
    boxes: np.ndarray, rank_order: np.ndarray, masks: list[dict], photo_hw: tuple[int, int]
) -> None:
    """Raises ValueError where objects of a photograph cannot be true.

    Args:
      boxes: f[n, 4] x0 y0 x1 y1 in pixels of the photograph.
      rank_order: f[n] 1.0 .9 .8 .7 .6 for ranks 1..5, each at most once, at most .5 for none.
      masks: n COCO RLEs; that of an object with a rank has a pixel.
      photo_hw: height and width of the photograph.
    """
    if not len(boxes) == len(rank_order) == len(masks):
        raise ValueError(
            f"{len(boxes)} boxes, {len(rank_order)} rank values and {len(masks)} masks; one each "
            "of an object is expected"
        )
    for index, box in enumerate(boxes):
        _check_box(index, box, photo_hw)
    _check_ranks(rank_order)
    for index, (mask, value) in enumerate(zip(masks, rank_order, strict=True)):
        if value > 0.5 and not coco_mask.area(mask):
            raise ValueError(f"object {index} has a rank, but its mask has no pixel")


def check_segmentation(segmentation: list | dict, photo_hw: tuple[int, int]) -> None:
    """Raises ValueError unless these are polygons or a compressed RLE that pycocotools can read.

    It trusts what it is given: it would read past the end of a short RLE and walk for hours
    along a polygon with a corner far away.
    """
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size not in (list(photo_hw), tuple(photo_hw)):
            raise ValueError(f"mask of {size} (h, w), photograph {list(photo_hw)}")
        if not isinstance(counts, str) or rle_length(counts) != photo_hw[0] * photo_hw[1]:
            raise ValueError(f"the RLE's counts do not add up to {size[0]} x {size[1]} pixels")
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("segmentation is neither a list of polygons nor an RLE")
    height, width = photo_hw
    for polygon in segmentation:
        if not is_numbers(polygon) or len(polygon) % 2 or len(polygon) < 6:
            raise ValueError("a polygon is not a list of three or more points x y")
        xs, ys = polygon[::2], polygon[1::2]
        if min(xs) < -width or max(xs) > 2 * width or min(ys) < -height or max(ys) > 2 * height:
            raise ValueError(
                f"a polygon reaches from {min(xs)}, {min(ys)} to {max(xs)}, {max(ys)} (x, y), far "
                f"outside a photograph of {width} x {height}"
            )


def rle_length(counts: str) -> int:
    """The number of pixels a compressed RLE covers; pycocotools reads past the end unchecked.

    The string holds numbers of 5 bits a character, low bits first, bit 6 = more follows; from the
    third on each is the difference to the one two before.
    """
    runs, value, shift = [], 0, 0
    for char in counts.encode():
        bits = char - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the RLE holds the character {chr(char)!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        if runs[-1] < 0:
            raise ValueError("the RLE holds a run of negative length")
        value, shift = 0, 0
    if shift:
        raise ValueError("the RLE is cut off")
    return sum(runs)


def is_numbers(values) -> bool:
    """Whether this is a list of finite numbers."""
    return isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )


def _check_box(index: int, box: np.ndarray, photo_hw: tuple[int, int]) -> None:
    named = f"object {index}: bbox is {[round(float(side), 2) for side in box]}"
    x0, y0, x1, y1 = (float(side) for side in box)
    if not np.isfinite(box).all() or x1 < x0 or y1 < y0:
        raise ValueError(f"{named}; expected x0 y0 x1 y1 in pixels with x0 <= x1, y0 <= y1")
    if x1 == x0 or y1 == y0:
        raise ValueError(f"{named}; it has no area")
    height, width = photo_hw
    if min(x0, y0) < -SLACK or x1 > width + SLACK or y1 > height + SLACK:
        raise ValueError(f"{named}; it reaches out of the photograph of {width} x {height}")


def _check_ranks(rank_order: np.ndarray) -> None:
    owners = {}
    for index, value in enumerate(float(value) for value in rank_order):
        if not 0 <= value <= 1:  # nan, too
            raise ValueError(
                f"object {index}: rank value is {value}; expected 1.0 .9 .8 .7 .6, or at most .5 "
                "for none"
            )
        if value <= 0.5:
            continue
        rank = min(10 - math.floor(10 * value + 1e-4), 4)  # float32 of .9 and .7 lie below them
        if rank in owners:
            raise ValueError(
                f"objects {owners[rank]} and {index} share rank {rank + 1} (value {value:.3g})"
            )
        owners[rank] = index
