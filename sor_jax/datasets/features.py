"""What every data set stores of a photograph, so that one reader serves them all."""

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def features() -> "tfds.features.FeaturesDict":
    """The record of one photograph.

    `image` and `grey` take a path or encoded bytes, which are stored unchanged: they are decoded by
    the reader, with Pillow; a set without ranks has NO_GREY for `grey`. `bbox` is x0 y0 x1 y1 in
    pixels of the photograph. `rank_order` is the file's own value: 1.0 .9 .8 .7 .6 for ranks 1..5,
    at most 0.5 for an object without a rank.
    `segmentation` is JSON: a list of polygons [x0, y0, x1, y1, ..] or a COCO RLE
    {"size": [h, w], "counts": str} of the photograph's size; null for an object without a mask.
    """
    import tensorflow_datasets as tfds  # not needed by readers of records

    return tfds.features.FeaturesDict(
        {
            "image_id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3)),
            "grey": tfds.features.Image(shape=(None, None, 1)),
            "objects": tfds.features.Sequence(
                {
                    "bbox": tfds.features.Tensor(shape=(4,), dtype=np.float32),
                    "rank_order": np.float32,
                    "segmentation": tfds.features.Text(),
                }
            ),
        }
    )


def _one_pixel() -> bytes:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "png")
    return file.getvalue()


NO_GREY = _one_pixel()
"""Stands for the rank map of a photograph that has none."""
