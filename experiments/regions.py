"""As many regions as a trained detector finds, of one that is not: for timing."""

import dataclasses

import jax
import numpy as np

from experiments.made_up import jittered
from sor_jax.structures import Boxes, Proposals


def with_regions(objective, gt_boxes: Boxes, count: int):
    """The objective with jittered copies of an image's objects as its last `count` proposals.

    Args:
      objective: of any detector. It finds its own proposals all the same, at their cost.
      gt_boxes: [B, M] of the one batch that it will see, with an object in every image.
      count: how many; at most the proposals of an image.
    """
    copies = jittered(np.asarray(gt_boxes.xyxy), np.asarray(gt_boxes.valid), count)

    @dataclasses.dataclass(frozen=True)
    class WithRegions(type(objective)):
        def propose(self, *args):
            found = super().propose(*args)
            xyxy = found.boxes.xyxy.at[:, -count:].set(copies)
            boxes = Boxes(xyxy, found.boxes.valid.at[:, -count:].set(True))
            return Proposals(boxes, found.score)

    fields = dataclasses.fields(objective)
    return WithRegions(**{field.name: getattr(objective, field.name) for field in fields})


def eager(params):
    """Untrained parameters that find as many boxes as they may, Mask R-CNN's its anchors."""

    def raised(path, x):
        name = "/".join(str(key.key) for key in path)
        if name.endswith(("rpn/delta/kernel", "box/delta/kernel", "box/class_logit/kernel")):
            return 0.0 * x
        if name.endswith("fcos/box/bias"):
            return x + 3.0  # some 6 strides wide
        return x + 5.0 if name.endswith("fcos/class_logit/bias") else x

    return jax.tree_util.tree_map_with_path(raised, params)
