"""Regions pooled from drawn pictures themselves: a branch without any detector before it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.tables.branches import rank_logits
from experiments.tables.regions import Regions
from sor_jax.datasets.scenes.draw import draw
from sor_jax.models.ranking import RankingHead
from sor_jax.ops.coords import coordinate_maps
from sor_jax.ops.roi_align import roi_align

HW = (64, 80)
SLOTS, SIDE = 9, 7


def pixel_regions(images, boxes, ranks=None):
    """Regions pooled from the pictures themselves: a branch without any detector before it."""
    count = len(images)
    xyxy, valid = np.zeros((count, SLOTS, 4), np.float32), np.zeros((count, SLOTS), bool)
    owner = np.full((count, SLOTS), -1, np.int32)
    rank_class = owner.copy()
    for row, box in enumerate(boxes):
        xyxy[row, : len(box)], valid[row, : len(box)] = box, True
        if ranks is not None:
            owner[row, : len(box)] = np.arange(len(box))
            rank_class[row, : len(box)] = ranks[row]
    hw = np.full((count, 2), HW, np.int32)

    @jax.jit
    def pool(images, xyxy, hw):
        maps = (images / 128.0 - 1).reshape(-1, HW[0] // 2, 2, HW[1] // 2, 2, 3).mean((2, 4))
        maps = jnp.concatenate([maps, coordinate_maps(hw, maps.shape[1:3], 2)], axis=-1)
        level = jnp.zeros(xyxy.shape[:2], jnp.int32)
        return roi_align([maps], xyxy, level, hw, strides=(2,), out=SIDE, points=36)[0]

    parts = [
        pool(np.stack(images[i : i + 50]), xyxy[i : i + 50], hw[i : i + 50])
        for i in range(0, count, 50)
    ]
    pooled = np.concatenate([np.asarray(part, np.float16) for part in parts])
    return Regions(pooled, xyxy, valid, owner, rank_class, hw)


@functools.cache
def scenes(split, count):
    """Regions of the ranked objects of the first scenes of a split."""
    images, boxes, ranks = [], [], []
    for index in range(count):
        scene = draw(0, split, index, image_hw=HW)
        kept = scene.rank_order > 0
        images.append(scene.image)
        boxes.append(scene.boxes[kept])
        ranks.append(np.rint(10 * scene.rank_order[kept] - 6).astype(int))
    return pixel_regions(images, boxes, ranks)


def head(**fields):
    """The ranking branch as it is, in small."""
    size = {"channels": 16, "depth": 2, "hidden": (64, 64), "layers": 2, "heads": 4, "ffn": 128}
    return RankingHead(**size | fields)


def expected_class(branch, params, regions):
    """f32[N, R]: 4 = surely the most salient .. 0."""
    share = jax.nn.softmax(jax.jit(lambda p, r: rank_logits(branch, p, r))(params, regions))
    return np.asarray(share @ jnp.arange(5.0))
