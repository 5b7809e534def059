"""Made-up folders in exactly the formats of IRSR and SIFR: rectangles on noise, no file of theirs.

The ranks of a photograph are 0 .. n - 1, larger = more salient, and -1 of an object without one.
"""

import json
import pickle

import numpy as np
from PIL import Image

from tests.datasets import assr_tree

# x0 y0 x1 y1 and the rank of the objects of each photograph.
PHOTOGRAPHS = {
    "COCO_train2014_000000000001": [((4, 6, 20, 30), 0), ((30, 10, 60, 40), 1)],
    "COCO_train2014_000000000002": [((5, 5, 25, 25), -1), ((30, 4, 40, 20), 0)],
    "COCO_train2014_000000000003": [((8 * i, 4, 8 * i + 7, 40), (3 * i) % 7) for i in range(7)],
}
CROWD = {
    "COCO_train2014_000000000004": [((6 * i, 2, 6 * i + 5, 9 + i), i) for i in range(9)],
}


def grey_of(objects):
    """A map with greys of its own: shares of the highest rank."""
    grey = np.zeros(assr_tree.IMAGE_HW, np.uint8)
    most = max((rank for _, rank in objects), default=0)
    for box, rank in objects:
        if rank >= 0:
            grey[assr_tree.mask_of(box)] = 255 * (rank + 1) // (most + 1)
    return grey


def _annotations(objects, segmentation):
    return [
        {"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": segmentation((x0, y0, x1, y1))}
        for (x0, y0, x1, y1), _ in objects
    ]


def _write_images(folder, photographs):
    for kind in ("rgb", "gt"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for name, objects in photographs.items():
        pixels = assr_tree.jpeg(assr_tree.photograph(name))
        (folder / "rgb" / f"{name}.jpg").write_bytes(pixels)
        Image.fromarray(grey_of(objects)).save(folder / "gt" / f"{name}.png")


def irsr_content(photographs, segmentation=assr_tree.polygon):
    """What the pickle of a split holds."""
    return [
        {
            "file_name": f"./dataset/Images/train/rgb/{name}.jpg",
            "rank": [rank for _, rank in objects],
            "annotations": _annotations(objects, segmentation),
        }
        for name, objects in photographs.items()
    ]


def write_irsr(root, split="train", photographs=PHOTOGRAPHS, content=None):
    """A split of IRSR; `content` takes the place of what its pickle holds, or of its bytes."""
    _write_images(root / "Images" / split, photographs)
    file = root / "Annotations" / f"{split}.pkl"
    file.parent.mkdir(exist_ok=True)
    content = irsr_content(photographs) if content is None else content
    file.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    return root


def sifr_content(photographs, segmentation=assr_tree.polygon):
    """What the JSON of a split holds."""
    height, width = assr_tree.IMAGE_HW
    entries = []
    for index, (name, objects) in enumerate(photographs.items()):
        annotations = _annotations(objects, segmentation)
        for one, (_, rank) in zip(annotations, objects, strict=True):
            one["gt_rank"] = rank
        entry = {"file_name": f"{name}.jpg", "image_id": index, "height": height, "width": width}
        entries.append(entry | {"annotations": annotations})
    return entries


def write_sifr(root, split="train", photographs=PHOTOGRAPHS, content=None):
    """A split of SIFR; `content` takes the place of what its JSON holds."""
    _write_images(root / split, photographs)
    content = sifr_content(photographs) if content is None else content
    (root / split / f"{split}_annotations.json").write_text(json.dumps(content))
    return root
