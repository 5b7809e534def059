"""The inference map: batch -> Detections. Its twin is objective.py, in the same order."""

import dataclasses

import jax

from sor_jax.decode.dense import decode_images
from sor_jax.decode.ranks import assign_ranks, assign_ranks_reference
from sor_jax.heads import run_heads
from sor_jax.models.centermask import STRIDES, CenterMask
from sor_jax.ops import grid
from sor_jax.structures import Batch, Detections

RANK_RULES = {"sequential": assign_ranks, "reference": assign_ranks_reference}


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Finds, segments and ranks the objects of a batch.

    Attributes:
      model: the network.
      rank_rule: "sequential" (the paper's) or "reference" (the original's, leaves ranks free).
      class_threshold, nms_threshold, pre_nms_top: as of decode.dense.proposals.
      max_detections: boxes an image.
      clip_boxes: cut boxes to the photograph before they are pooled.
    """

    model: CenterMask
    rank_rule: str = "sequential"
    class_threshold: float = 0.3
    nms_threshold: float = 0.6
    pre_nms_top: int = 1000
    max_detections: int = 50
    clip_boxes: bool = True

    def __post_init__(self):
        if self.rank_rule not in RANK_RULES:
            raise ValueError(
                f"rank_rule is {self.rank_rule!r}; expected one of {tuple(RANK_RULES)}"
            )

    def __call__(self, variables, batch: Batch) -> Detections:
        """Detections [B, max_detections] in falling box score; fillers have none.

        Args:
          variables: {"params", "frozen"} of the model.
          batch: as of Batch; its ground truth is not read.
        """
        model = self.model.bind(variables)
        points = grid.points(batch.image.shape[1:3], STRIDES)
        where = jax.vmap(lambda hw: grid.inside(points, hw))(batch.image_hw)
        where &= batch.valid[:, None]

        levels = model.features(batch.image, batch.image_hw)
        dense = model.detect(levels, batch.image_hw)
        found = decode_images(
            dense,
            points,
            where,
            batch.image_hw,
            clip=self.clip_boxes,
            class_threshold=self.class_threshold,
            nms_threshold=self.nms_threshold,
            pre_nms_top=self.pre_nms_top,
            max_proposals=self.max_detections,
        )
        outputs = run_heads(self.model, variables, levels, found.boxes, batch.image_hw)
        assign = jax.vmap(RANK_RULES[self.rank_rule])
        return Detections(
            boxes=found.boxes,
            score=found.score,
            mask_score=found.score * outputs.mask_iou,
            mask_prob=jax.nn.sigmoid(outputs.mask_logit),
            rank_logit=outputs.rank_logit,
            rank_class=assign(outputs.rank_logit, found.boxes.valid),
        )
