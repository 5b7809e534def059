"""Records of any data set as COCO JSON, which labelling tools open."""

from collections.abc import Iterable

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.record import Record, ranked_indices

CATEGORY = {"id": 1, "name": "salient object"}


def to_coco(records: Iterable[Record], *, suffix: str = ".jpg") -> dict:
    """A COCO file of these photographs: {"images", "annotations", "categories"}.

    An annotation has "rank", 1 = most salient, or null; "bbox" is x y width height in pixels.
    Polygons stay polygons, other masks are compressed RLEs. `suffix` completes a record's id to its
    file name.
    """
    images, annotations = [], []
    for image_id, record in enumerate(records, 1):
        height, width = record.image.shape[:2]
        images.append(
            {
                "id": image_id,
                "file_name": f"{record.image_id}{suffix}",
                "height": height,
                "width": width,
            }
        )
        place = {index: rank for rank, index in enumerate(ranked_indices(record.rank_order), 1)}
        for index in range(len(record.boxes)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": CATEGORY["id"],
                    "iscrowd": 0,
                    "rank": place.get(index),
                    **_shape(record, index),
                }
            )
    return {"images": images, "annotations": annotations, "categories": [CATEGORY]}


def _shape(record: Record, index: int) -> dict:
    x0, y0, x1, y1 = (float(side) for side in record.boxes[index])
    parts, mask = record.polygons[index], record.masks[index]
    if not coco_mask.area(mask):  # it is known by its box alone
        area = round((x1 - x0) * (y1 - y0), 2)
        return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": area, "segmentation": []}
    segmentation = [np.asarray(part, float).ravel().tolist() for part in parts]
    return {
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(coco_mask.area(mask)),
        "segmentation": segmentation
        or {"size": list(mask["size"]), "counts": mask["counts"].decode()},
    }
