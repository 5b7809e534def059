"""Pictures as files and masks as RLEs."""

import io

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


def encoded(picture, kind="PNG", **options):
    """The bytes of an image file; `picture` is an array or a Pillow image."""
    file = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(file, kind, **options)
    return file.getvalue()


def mask_of(box, hw):
    """bool[h, w]: the pixels of a rectangle with whole sides."""
    mask = np.zeros(hw, bool)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = True
    return mask


def encode(mask):
    """The COCO run-length encoding of bool[h, w]."""
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
