"""What a model says of a whole split, as one COCO JSON."""

import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.coco.export import coco_file
from sor_jax.datasets.masks import rle_as_json
from sor_jax.files import write_json
from sor_jax.metrics.ap import Detected
from sor_jax.metrics.scoreboard import Scored

FILE = "predictions.json"


def to_coco(images: Iterable[Scored]) -> dict:
    """A COCO file of predictions, see sor_jax.datasets.coco.export.coco_file.

    An annotation is a result as pycocotools' `loadRes` takes it, with "score" (of the box),
    "mask_score", and "rank", 1 = most salient, null for a detection without one. "bbox" is x y
    width height in pixels, "segmentation" a compressed RLE.
    """
    photographs = ((image.image_id, image.hw, _detections(image.detected)) for image in images)
    return coco_file(photographs)


def _detections(detected: Detected) -> Iterator[dict]:
    for index, (box, mask) in enumerate(zip(detected.xyxy, detected.masks, strict=True)):
        x0, y0, x1, y1 = (round(float(side), 2) for side in box)
        yield {
            "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
            "area": int(coco_mask.area(mask)),
            "segmentation": rle_as_json(mask),
            "score": float(np.float32(detected.score[index])),
            "mask_score": float(np.float32(detected.mask_score[index])),
            "rank": None if detected.rank is None else int(detected.rank[index]) or None,
        }


def write_predictions(out_dir: pathlib.Path, images: Iterable[Scored]) -> None:
    """Writes FILE of these photographs into a folder."""
    write_json(out_dir / FILE, to_coco(images), indent=None)
