"""Raw outputs of the dense detector -> the boxes that the later heads look at."""

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.ops import boxes
from sor_jax.ops.grid import Points
from sor_jax.ops.nms import nms
from sor_jax.structures import Boxes, DenseOutputs, Proposals


def proposals(
    dense: DenseOutputs,
    points: Points,
    where: jax.Array | None = None,
    *,
    max_proposals: int,
    class_threshold: float,
    nms_threshold: float = 0.6,
    pre_nms_top: int = 1000,
) -> Proposals:
    """The best boxes of one image [P], N = max_proposals, in falling score.

    Keeps points (within `where` bool[P]) of class probability > class_threshold, of these the
    `pre_nms_top` with the highest score of each level, and suppresses over all levels together
    what overlaps a better one by an IoU above nms_threshold. A score is the root of class
    probability times centerness, 0..1.
    Equal scores: finer level first, then row-major. Boxes may stick out of the image. Padded slots
    hold empty boxes and score 0. No gradient flows back.
    """
    dense = jax.tree.map(lambda x: jax.lax.stop_gradient(x).astype(jnp.float32), dense)
    class_prob = jax.nn.sigmoid(dense.class_logit)
    score = jnp.sqrt(class_prob * jax.nn.sigmoid(dense.centerness_logit))
    keep = class_prob > class_threshold
    if where is not None:
        keep &= where

    chosen = _best_of_each_level(jnp.where(keep, score, -1.0), points.level, pre_nms_top)
    score, keep = score[chosen], keep[chosen]
    distances = dense.ltrb * points.stride[:, None]
    xyxy = boxes.from_distances(points.xy, distances)[chosen]
    index, valid = nms(xyxy, score, keep, threshold=nms_threshold, max_outputs=max_proposals)
    xyxy = jnp.where(valid[:, None], xyxy[index], 0.0)
    return Proposals(Boxes(xyxy, valid), jnp.where(valid, score[index], 0.0))


def decode_images(
    dense: DenseOutputs,
    points: Points,
    where: jax.Array,
    valid_hw: jax.Array,
    *,
    clip: bool,
    **settings,
) -> Proposals:
    """`proposals` of every image of a batch [B, P], with its settings.

    `where` bool[B, P] and valid_hw i32[B, 2] are those of each photograph; `clip` cuts the boxes to
    it and drops those that turn empty.
    """

    def one(dense, where, hw):
        found = proposals(dense, points, where, **settings)
        if not clip:
            return found
        xyxy = boxes.clip(found.boxes.xyxy, hw)
        return Proposals(Boxes(xyxy, found.boxes.valid & ~boxes.is_empty(xyxy)), found.score)

    return jax.vmap(one)(dense, where, valid_hw)


def _best_of_each_level(score: jax.Array, level: np.ndarray, top: int) -> jax.Array:
    """Indices i32[Q] of the `top` points of highest score of each level; all of a smaller level."""
    chosen, start = [], 0
    for size in np.bincount(level):
        if size > top:
            chosen.append(start + jax.lax.top_k(score[start : start + size], top)[1])
        else:
            chosen.append(jnp.arange(start, start + size))
        start += size
    return jnp.concatenate(chosen)
