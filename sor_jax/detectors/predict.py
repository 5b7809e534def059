"""The inference map: Images -> Detections. Its twin is objective.py, in the same order."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from sor_jax.decode.ranks import assign_ranks, assign_ranks_expected, assign_ranks_reference
from sor_jax.detectors.heads import run_heads
from sor_jax.models.segmenter import Segmenter
from sor_jax.structures import Detections, Images, Proposals

RANK_RULES: dict[str, Callable] = {
    "sequential": assign_ranks,
    "expected": assign_ranks_expected,
    "reference": assign_ranks_reference,
    "reference_mask_rcnn": functools.partial(assign_ranks_reference, threshold=0.0),
}


@dataclasses.dataclass(frozen=True)
class Predictor:
    """Finds, segments and ranks the objects of a batch; a subclass adds how its detector finds.

    Attributes:
      model: the network.
      rank_rule: "sequential" (the paper's), "expected" (by the mean of a region's ranks),
        "reference" (the original's, leaves ranks free) or "reference_mask_rcnn" (that of the
        original's Mask R-CNN, without a threshold).
    """

    model: Segmenter
    rank_rule: str = "sequential"

    def __post_init__(self):
        if self.rank_rule not in RANK_RULES:
            raise ValueError(
                f"rank_rule is {self.rank_rule!r}; expected one of {tuple(RANK_RULES)}"
            )

    def find(self, model, levels, images: Images) -> tuple[Proposals, jax.Array]:
        """The detector's boxes [B, N], none in fillers, and if all it said is finite, bool[B].

        Args:
          model: the network with its variables.
          levels: the pyramid's maps [B, h, w, C], fine to coarse.
          images: the photographs.
        """
        raise NotImplementedError

    def __call__(self, variables, images: Images) -> Detections:
        """Detections [B, N] in falling box score; fillers have none.

        Args:
          variables: {"params", "frozen"} of the model.
          images: the photographs.
        """
        model = self.model.bind(variables)
        levels = model.features(images.image, images.valid_hw)
        found, finite = self.find(model, levels, images)
        outputs = run_heads(self.model, variables, levels, found.boxes, images.valid_hw)
        assert outputs.mask_iou is not None and outputs.rank_logit is not None  # all heads run
        assign = jax.vmap(RANK_RULES[self.rank_rule])
        return Detections(
            boxes=found.boxes,
            score=found.score,
            mask_score=found.score * outputs.mask_iou,
            mask_prob=jax.nn.sigmoid(outputs.mask_logit),
            rank_logit=outputs.rank_logit,
            rank_class=assign(outputs.rank_logit, found.boxes.valid),
            finite=finite,
        )


def all_finite(outputs, where: jax.Array) -> jax.Array:
    """bool[B]: whether a tree of [B, N, ..] is finite in all slots of `where` bool[B, N].

    A threshold drops what is not a number, so broken outputs would pass for an empty image.
    """

    def of_one(values):
        finite = jnp.isfinite(values).reshape(*where.shape, -1).all(axis=-1)
        return jnp.all(finite | ~where, axis=1)

    return jnp.stack([of_one(values) for values in jax.tree.leaves(outputs)]).all(axis=0)
