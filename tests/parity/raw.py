"""The original's arrays as our nouns, for tests of one stage on its own."""

import jax.numpy as jnp
import numpy as np

from sor_jax.datasets.masks import to_parts
from sor_jax.models.centermask import STRIDES
from sor_jax.ops import grid
from sor_jax.structures import Boxes, DenseOutputs, GroundTruth, Polygons
from tests.polygons import padded_edges

HW = (480, 640)
LEVELS = range(3, 8)
POINTS = grid.points(HW, STRIDES)
RAW = [f"fcos.{name}.p{k}" for name in ("logits", "reg", "ctrness") for k in LEVELS]


def dense_outputs(case):
    """The raw FCOS outputs of all levels, [P]."""
    stored = case.arrays()

    def of_all_levels(name):
        maps = [stored[f"fcos.{name}.p{k}"][0] for k in LEVELS]  # C H W
        return jnp.concatenate([m.reshape(len(m), -1).T for m in maps])

    return DenseOutputs(
        class_logit=of_all_levels("logits")[:, 0],
        ltrb=of_all_levels("reg"),
        centerness_logit=of_all_levels("ctrness")[:, 0],
    )


def ground_truth(case):
    """The objects that every training part was made with, without their bitmaps."""
    objects = case.json("gt_objects")
    parts = [to_parts(item["segmentation"]) for item in objects]
    return GroundTruth(
        boxes=Boxes(
            jnp.array([item["bbox"] for item in objects], jnp.float32),
            jnp.ones(len(objects), bool),
        ),
        rank_class=jnp.array([item["gt_rank"] for item in objects]),
        masks=jnp.zeros((len(objects), *HW), jnp.uint8),
        polygons=Polygons(*map(jnp.asarray, padded_edges(parts, slots=64))),
    )


def bits(packed, shape):
    """bool[n, *shape] from rows of bits."""
    count = int(np.prod(shape))
    return np.unpackbits(packed, axis=1)[:, :count].reshape(-1, *shape).astype(bool)
