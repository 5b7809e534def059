"""Writes a tiny folder in ASSR layout: rectangles on noise."""

import contextlib
import json

import numpy as np
from PIL import Image

from tests import pictures

IMAGE_HW = (48, 64)
GREYS = {1.0: 255, 0.9: 229, 0.8: 204, 0.7: 178, 0.6: 153, 0.0: 0}
# x0 y0 x1 y1 and the rank value of the objects of each image.
IMAGES = {
    "two": [((4, 6, 20, 30), 0.9), ((30, 10, 60, 40), 1.0)],
    "none": [((5, 5, 25, 25), 0.0)],
    "three": [((0, 0, 10, 12), 0.8), ((20, 4, 33, 40), 1.0), ((40, 8, 64, 48), 0.9)],
    "one": [((8, 8, 40, 40), 1.0), ((50, 2, 60, 12), 0.5)],
}


def mask_of(box, hw=IMAGE_HW):
    return pictures.mask_of(box, hw)


def polygon(box):
    x0, y0, x1, y1 = box
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def rle(box, hw=IMAGE_HW):
    return {"size": list(hw), "counts": pictures.encode(mask_of(box, hw))["counts"].decode()}


def long_rle(box, hw=IMAGE_HW):
    """Counts as a list of numbers: lengths of runs of 0, 1, 0, .. down the columns."""
    flat = mask_of(box, hw).ravel(order="F").astype(int)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return {"size": list(hw), "counts": np.diff(changes, prepend=0, append=flat.size).tolist()}


def photograph(image_id, hw=IMAGE_HW):
    rng = np.random.default_rng(len(image_id))
    return rng.integers(0, 256, (*hw, 3), np.uint8)


def jpeg(pixels, **options):
    return pictures.encoded(pixels, "JPEG", **options)


@contextlib.contextmanager
def edited_objects(root, image_id):
    """The object list of a photograph of train, written back with what the block changes."""
    path = root / "obj_seg_data_train.json"
    entries = json.loads(path.read_text())
    (entry,) = [entry for entry in entries if entry["img"] == image_id]
    yield entry["object_data"]
    path.write_text(json.dumps(entries))


def write_split(root, split, images=IMAGES, *, segmentation=polygon):
    """One split; its list and its annotation file are in opposite orders."""
    for kind in ("images", "gt", "rank_order"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    entries = []
    for image_id, objects in images.items():
        for kind in ("images", "gt", "rank_order"):
            (root / kind / split / image_id).parent.mkdir(parents=True, exist_ok=True)
        grey = np.zeros(IMAGE_HW, np.uint8)
        for box, value in objects:
            grey[mask_of(box)] = GREYS.get(value, 0)
        (root / "images" / split / f"{image_id}.jpg").write_bytes(jpeg(photograph(image_id)))
        Image.fromarray(grey).save(root / "gt" / split / f"{image_id}.png")
        ranks = {"rank_order": [value for _, value in objects]}
        (root / "rank_order" / split / f"{image_id}.json").write_text(json.dumps(ranks))
        data = [{"bbox": list(box), "segmentation": segmentation(box)} for box, _ in objects]
        entries.insert(0, {"img": image_id, "object_data": data})
    (root / f"obj_seg_data_{split}.json").write_text(json.dumps(entries))
    (root / f"{split}_images.txt").write_text("\n".join(images) + "\n")
