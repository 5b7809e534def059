"""One photograph with its objects, as the files have it, and how it is read from stored bytes."""

import dataclasses
import json

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.checks import check_annotation
from sor_jax.datasets.features import NO_GREY
from sor_jax.datasets.images import decode_grey, decode_image
from sor_jax.datasets.masks import no_mask, to_parts, to_rle
from sor_jax.metrics.sor import NO_RANK as NO_RANK
from sor_jax.metrics.sor import NUM_RANKS as NUM_RANKS

TARGETS = ("ranked", "all")


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """A photograph at its own size with all its objects, ranked or not, in the file's order.

    Attributes:
      image_id: the name of the photograph within its split.
      image: u8[h, w, 3] RGB, turned as its EXIF tag says.
      boxes: f32[n, 4] x0 y0 x1 y1 in pixels of the photograph; the file's own, not cut to it.
      masks: n COCO RLEs {"size": [h, w], "counts": bytes} of the photograph's size; without a pixel
        for an object that is known by its box alone.
      polygons: the outlines of the n objects as the file has them, each a list of parts f32[v, 2]
        (x y in pixels of the photograph), empty for an object that the file gives as RLE.
      rank_order: f32[n] the files' values: 1.0 .9 .8 .7 .6 for ranks 1..5, of K ranks
        1 - (rank - 1) / 2K; at most .5 for none.
      grey: u8[h, w] the data set's own rank map; None where it knows no ranks.
      num_ranks: K of the model that the record is read for.
    """

    image_id: str
    image: np.ndarray
    boxes: np.ndarray
    masks: list[dict]
    polygons: list[list[np.ndarray]]
    rank_order: np.ndarray
    grey: np.ndarray | None
    num_ranks: int = NUM_RANKS

    @property
    def has_mask(self) -> np.ndarray:
        """bool[n]: False where an object is known by its box alone."""
        return np.array([coco_mask.area(mask) > 0 for mask in self.masks], bool)

    @property
    def rank_class(self) -> np.ndarray:
        """i32[n], see `rank_classes`."""
        return rank_classes(self.rank_order, self.num_ranks)


def rank_classes(rank_order: np.ndarray, num_ranks: int = NUM_RANKS) -> np.ndarray:
    """i32[n]: K - 1 = most salient .. 0 = the K-th, NO_RANK where there is no rank or a later one.

    An object has a rank where its value is above 0.5; its class is K - 1 - place, its place how
    many values are larger. Of files with the five values of ASSR that is int(10 * value - 6).
    """
    value = np.asarray(rank_order, np.float64)
    place = (value[None, :] > value[:, None]).sum(axis=1)
    is_ranked = (value > 0.5) & (place < num_ranks)
    return np.where(is_ranked, num_ranks - 1 - place, NO_RANK).astype(np.int32)


def ranked_indices(rank_order: np.ndarray) -> np.ndarray:
    """i64[k]: the objects that have a rank, most salient first, equal ones in the file's order."""
    value = np.asarray(rank_order)
    order = np.argsort(-value, kind="stable")
    return order[value[order] > 0.5]


def target_indices(record: Record, targets: str) -> np.ndarray:
    """i64[k]: the objects that are ground truth, as config.data.targets says.

    With "ranked" these are the ones of `ranked_indices`. With "all" the others that have a box
    follow, the larger first.
    """
    if targets not in TARGETS:
        raise ValueError(f"config.data.targets is {targets!r}; expected one of {TARGETS}")
    ranked = ranked_indices(record.rank_order)
    if targets == "ranked":
        return ranked
    area = np.array([coco_mask.area(mask) for mask in record.masks], np.float64)
    sides = record.boxes[:, 2:] - record.boxes[:, :2]
    area = np.where(area > 0, area, sides.prod(axis=1))
    larger_first = np.argsort(-area, kind="stable")
    is_other = (sides > 0).all(axis=1) & ~np.isin(np.arange(len(area)), ranked)
    return np.concatenate([ranked, larger_first[is_other[larger_first]]])


def decode_record(example: dict, *, where: str, num_ranks: int = NUM_RANKS) -> Record:
    """The record of a stored example (see datasets.features) whose images are still encoded.

    `where` names the file in the ValueError that a broken example raises; `num_ranks` is the
    record's.
    """
    image_id = example["image_id"].decode()
    try:
        image = decode_image(example["image"])
        grey = None if example["grey"] == NO_GREY else decode_grey(example["grey"])
        objects = example["objects"]
        segmentations = [json.loads(text) for text in objects["segmentation"]]
        height, width = image.shape[:2]
        if grey is not None and grey.shape != (height, width):
            raise ValueError(f"grey map {grey.shape} (h, w), photograph {(height, width)}")
        hw = height, width
        masks = [None if one is None else to_rle(one, hw) for one in segmentations]
        record = Record(
            image_id=image_id,
            image=image,
            boxes=np.asarray(objects["bbox"], np.float32).reshape(-1, 4),
            masks=[no_mask(hw) if mask is None else mask for mask in masks],
            polygons=[to_parts(segmentation) for segmentation in segmentations],
            rank_order=np.asarray(objects["rank_order"], np.float32).reshape(-1),
            grey=grey,
            num_ranks=num_ranks,
        )
        check_annotation(record.boxes, record.rank_order, masks, hw)
        return record
    except Exception as error:  # whatever the decoders meet in broken bytes
        raise ValueError(f"{where}, record {image_id}: {error}") from error
