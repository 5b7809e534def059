"""Records of any data set as COCO JSON, which labelling tools open."""

from collections.abc import Iterable, Iterator

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.datasets.masks import rle_as_json
from sor_jax.datasets.record import Record, ranked_indices


def to_coco(records: Iterable[Record]) -> dict:
    """A COCO file of these photographs, see `coco_file`.

    An annotation has "rank", 1 = most salient, or null; "bbox" is x y width height in pixels.
    Polygons stay polygons, other masks are compressed RLEs.
    """
    photographs = ((one.image_id, one.image.shape[:2], _objects(one)) for one in records)
    return coco_file(photographs)


def coco_file(photographs: Iterable[tuple[str, tuple[int, ...], Iterable[dict]]]) -> dict:
    """{"images", "annotations", "categories"} of photographs; gives the ids.

    Args:
      photographs: id, (height, width) and the annotations' own fields of each; an id with .jpg
        behind it is the name of its file.
    """
    category = {"id": 1, "name": "salient object"}
    images: list[dict] = []
    annotations: list[dict] = []
    for number, (image_id, (height, width), objects) in enumerate(photographs, 1):
        name = f"{image_id}.jpg"
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        for fields in objects:
            ids = {"id": len(annotations) + 1, "image_id": number, "category_id": category["id"]}
            annotations.append({**ids, "iscrowd": 0, **fields})
    return {"images": images, "annotations": annotations, "categories": [category]}


def _objects(record: Record) -> Iterator[dict]:
    place = {index: rank for rank, index in enumerate(ranked_indices(record.rank_order), 1)}
    for index in range(len(record.boxes)):
        yield {"rank": place.get(index), **_shape(record, index)}


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
        "segmentation": segmentation or rle_as_json(mask),
    }
