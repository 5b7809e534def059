"""What a model says of a whole split, as one COCO JSON."""

import pathlib
from collections.abc import Iterable

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.coco.export import CATEGORY
from sor_jax.files import write_json
from sor_jax.metrics.scoreboard import Scored

FILE = "predictions.json"


def to_coco(images: Iterable[Scored], *, suffix: str = ".jpg") -> dict:
    """A COCO file {"images", "annotations", "categories"} of predictions.

    An annotation is a result as pycocotools' `loadRes` takes it, with "score" (of the box),
    "mask_score", and "rank", 1 = most salient, null for a detection without one. "bbox" is x y
    width height in pixels, "segmentation" a compressed RLE. `suffix` completes an image's id to its
    file name.
    """
    listed, annotations = [], []
    for number, image in enumerate(images, 1):
        height, width = image.hw
        name = f"{image.image_id}{suffix}"
        listed.append({"id": number, "file_name": name, "height": height, "width": width})
        found = image.found
        for index, (box, mask) in enumerate(zip(found.xyxy, found.masks, strict=True)):
            x0, y0, x1, y1 = (round(float(side), 2) for side in box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY["id"],
                    "iscrowd": 0,
                    "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                    "area": int(coco_mask.area(mask)),
                    "segmentation": {"size": list(mask["size"]), "counts": mask["counts"].decode()},
                    "score": float(np.float32(found.score[index])),
                    "mask_score": float(np.float32(found.mask_score[index])),
                    "rank": int(found.rank[index]) or None,
                }
            )
    return {"images": listed, "annotations": annotations, "categories": [CATEGORY]}


def write_predictions(out_dir: pathlib.Path, images: Iterable[Scored]) -> None:
    """Writes FILE of these photographs into a folder."""
    write_json(out_dir / FILE, to_coco(images), indent=None)
