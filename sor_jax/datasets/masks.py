"""Masks as files have them: polygons and COCO RLEs, checked before pycocotools reads them.

It trusts what it is given: it would read past the end of a short RLE and walk for hours along a
polygon with a corner far away.
"""

import numpy as np
from pycocotools import mask as coco_mask

_MOST = 1e300


def clean_segmentation(segmentation, photo_hw: tuple[int, int]) -> list | dict:
    """Polygons of three points or more each, or an RLE with text for counts. Raises ValueError.

    Takes what COCO's files hold: also RLEs with a list of counts, and polygons of fewer points,
    which have no area and are dropped.
    """
    if isinstance(segmentation, dict):
        lacking = [name for name in ("size", "counts") if name not in segmentation]
        if lacking:
            raise ValueError(f"the RLE has no field {lacking[0]!r}")
        size, counts = segmentation["size"], segmentation["counts"]
        if isinstance(counts, list) and size == list(photo_hw):
            size, counts = _compressed(counts, photo_hw)
        segmentation = {"size": size, "counts": counts}
    elif isinstance(segmentation, list) and all(is_numbers(part) for part in segmentation):
        if any(len(part) % 2 for part in segmentation):
            raise ValueError("a polygon has an odd number of coordinates")
        segmentation = [part for part in segmentation if len(part) >= 6]
        if not segmentation:
            raise ValueError("segmentation has no polygon of three points or more")
    check_segmentation(segmentation, photo_hw)
    return segmentation


def check_segmentation(segmentation: list | dict, photo_hw: tuple[int, int]) -> None:
    """Raises ValueError unless these are polygons or a compressed RLE that pycocotools can read."""
    height, width = photo_hw
    if isinstance(segmentation, dict):
        size, counts = segmentation.get("size"), segmentation.get("counts")
        if size not in (list(photo_hw), tuple(photo_hw)):
            raise ValueError(f"mask of {size} (h, w), photograph {list(photo_hw)}")
        if not isinstance(counts, str) or rle_length(counts) != height * width:
            raise ValueError(f"the RLE's counts do not add up to {height} x {width} pixels")
        return
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError(
            f"segmentation is {_kind(segmentation)}; expected a list of polygons or an RLE"
        )
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
    runs: list[int] = []
    value = shift = 0
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


def to_rle(segmentation: list | dict, photo_hw: tuple[int, int]) -> dict:
    """A COCO RLE from polygons [x0, y0, x1, y1, ..] or from {"size": [h, w], "counts": str}."""
    check_segmentation(segmentation, photo_hw)
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, *photo_hw))
    return {"size": list(photo_hw), "counts": segmentation["counts"].encode()}


def to_parts(segmentation: list | dict) -> list[np.ndarray]:
    """The parts f32[v, 2] of polygons [x0, y0, x1, y1, ..]; none of an RLE."""
    polygons = segmentation if isinstance(segmentation, list) else []
    return [np.asarray(polygon, np.float32).reshape(-1, 2) for polygon in polygons]


def decode_masks(masks: list[dict], photo_hw: tuple[int, int]) -> np.ndarray:
    """bool[n, h, w] from n COCO RLEs; [0, h, w] when there are none."""
    if not masks:
        return np.zeros((0, *photo_hw), bool)
    columns = coco_mask.decode(masks)  # u8[h, w, n], column-major
    return np.ascontiguousarray(columns.transpose(2, 0, 1)).view(bool)


def fill_boxes(boxes: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """bool[n, h, w]: the pixels whose middle lies in boxes f[n, 4] x0 y0 x1 y1."""
    x0, y0, x1, y1 = np.asarray(boxes, float).reshape(-1, 4).T[:, :, None]
    rows, columns = np.arange(hw[0]) + 0.5, np.arange(hw[1]) + 0.5
    in_rows, in_columns = (y0 <= rows) & (rows < y1), (x0 <= columns) & (columns < x1)
    return in_rows[:, :, None] & in_columns[:, None, :]


def no_mask(photo_hw: tuple[int, int]) -> dict:
    """The COCO RLE without a pixel, which stands for the mask of an object that has none."""
    return encode_masks(np.zeros((1, *photo_hw), bool))[0]


def encode_masks(masks: np.ndarray) -> list[dict]:
    """n COCO RLEs {"size": [h, w], "counts": bytes} from bool[n, h, w]."""
    columns = np.asarray(masks, np.uint8).transpose(1, 2, 0)
    return coco_mask.encode(np.asfortranarray(columns)) if len(masks) else []


def rle_as_json(rle: dict) -> dict:
    """A compressed COCO RLE with its counts as text, as JSON files hold it."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def extents(masks: list[dict]) -> np.ndarray:
    """f64[n, 4]: the smallest boxes x0 y0 x1 y1 around the pixels of n COCO RLEs."""
    boxes = np.reshape(coco_mask.toBbox(masks) if masks else [], (-1, 4))
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def is_numbers(values) -> bool:
    """Whether this is a list of finite numbers that floats can hold."""
    return isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and -_MOST < v < _MOST
        for v in values
    )


def _compressed(counts: list, photo_hw: tuple[int, int]) -> tuple[list[int], str]:
    height, width = photo_hw
    if not is_numbers(counts) or min(counts, default=0) < 0 or sum(counts) != height * width:
        raise ValueError(f"the RLE's counts do not add up to {height} x {width} pixels")
    rle = coco_mask.frPyObjects({"size": list(photo_hw), "counts": counts}, height, width)
    return rle["size"], rle["counts"].decode()


def _kind(value) -> str:
    names = {str: "text", type(None): "null", dict: "an object", list: "an empty list"}
    return names.get(type(value), f"{value!r}"[:60])
