"""Checks the annotation of one photograph; every message says what was found and expected."""

import json

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.checks import check_annotation, check_segmentation, is_numbers, rle_length


def check_objects(entries: list, ranks: list, *, photo_hw: tuple[int, int]) -> list[dict]:
    """The objects of a photograph as sor_jax.datasets.features wants them. Raises ValueError."""
    if not isinstance(entries, list) or not isinstance(ranks, list):
        raise ValueError("object_data and rank_order must be lists")
    if len(entries) != len(ranks):
        raise ValueError(
            f"{len(entries)} objects but {len(ranks)} rank values; one each is expected"
        )
    objects = [
        _check_object(index, entry, rank, photo_hw)
        for index, (entry, rank) in enumerate(zip(entries, ranks, strict=True))
    ]
    masks = [_to_rle(json.loads(thing["segmentation"]), photo_hw) for thing in objects]
    boxes, values = ([thing[key] for thing in objects] for key in ("bbox", "rank_order"))
    check_annotation(boxes, values, masks, photo_hw)
    return objects


def _to_rle(segmentation: list | dict, photo_hw: tuple[int, int]) -> dict:
    if isinstance(segmentation, dict):
        return segmentation
    return coco_mask.merge(coco_mask.frPyObjects(segmentation, *photo_hw))


def _check_object(index: int, entry: dict, rank: float, photo_hw: tuple[int, int]) -> dict:
    try:
        return {
            "bbox": _check_box(entry["bbox"]),
            "rank_order": _check_rank(rank),
            "segmentation": json.dumps(_check_mask(entry["segmentation"], photo_hw)),
        }
    except KeyError as error:
        raise ValueError(f"object {index}: no field {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"object {index}: {error}") from error


def _check_box(box) -> np.ndarray:
    if not is_numbers(box) or len(box) != 4 or box[2] < box[0] or box[3] < box[1]:
        raise ValueError(f"bbox is {box}; expected x0 y0 x1 y1 in pixels with x0 <= x1, y0 <= y1")
    return np.asarray(box, np.float32)


def _check_rank(rank) -> np.float32:
    if not is_numbers([rank]) or not 0 <= rank <= 1:
        raise ValueError(f"rank value is {rank}; expected 1.0 .9 .8 .7 .6, or at most .5 for none")
    return np.float32(rank)


def _check_mask(mask, photo_hw: tuple[int, int]) -> list | dict:
    """Polygons with at least three points each, or an RLE with string counts."""
    if isinstance(mask, dict):
        return _check_rle(mask, photo_hw)
    if not isinstance(mask, list) or not all(is_numbers(part) for part in mask):
        raise ValueError("segmentation is neither a list of polygons nor an RLE")
    if any(len(part) % 2 for part in mask):
        raise ValueError("a polygon has an odd number of coordinates")
    parts = [part for part in mask if len(part) >= 6]  # fewer than three points hold no area
    if not parts:
        raise ValueError("segmentation has no polygon of three points or more")
    check_segmentation(parts, photo_hw)
    return parts


def _check_rle(mask: dict, photo_hw: tuple[int, int]) -> dict:
    size, counts = list(mask["size"]), mask["counts"]
    if size != list(photo_hw):
        raise ValueError(f"the RLE is for {size} (h, w) but the photograph is {list(photo_hw)}")
    if isinstance(counts, list):
        if not is_numbers(counts) or sum(counts) != size[0] * size[1]:
            raise ValueError(f"the RLE's counts do not add up to {size[0]} x {size[1]} pixels")
        counts = coco_mask.frPyObjects({"size": size, "counts": counts}, *size)["counts"].decode()
    if not isinstance(counts, str) or rle_length(counts) != size[0] * size[1]:
        raise ValueError(f"the RLE's counts do not add up to {size[0]} x {size[1]} pixels")
    return {"size": size, "counts": counts}
