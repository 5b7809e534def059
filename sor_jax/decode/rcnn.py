"""Raw outputs of the two stages of Mask R-CNN -> the boxes that the later heads look at."""

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.ops import boxes
from sor_jax.ops.anchors import Anchors
from sor_jax.ops.box_coding import ANCHOR_WEIGHTS, REGION_WEIGHTS, decode
from sor_jax.ops.nms import nms, suppress
from sor_jax.structures import AnchorOutputs, Boxes, Proposals, RegionBoxes


def propose(
    outputs: AnchorOutputs,
    anchors: Anchors,
    where: jax.Array,
    valid_hw: jax.Array,
    *,
    pre_nms_top: int,
    max_proposals: int,
    nms_threshold: float = 0.7,
) -> Proposals:
    """The best boxes of one image's anchors [A], N = max_proposals, in falling logit.

    Takes of each level the `pre_nms_top` anchors (within `where` bool[A]) of highest logit, cuts
    their boxes to the photograph of valid_hw i32[2], drops empty ones and suppresses within the
    level what overlaps a better one by an IoU above nms_threshold. Scores are logits. Equal logits:
    finer level first, then row-major. Padded slots hold empty boxes and score 0. No gradient flows
    back.
    """
    outputs = jax.lax.stop_gradient(outputs)
    logit = jnp.where(where, outputs.objectness_logit, -jnp.inf)
    kept, start = [], 0
    for size in np.bincount(anchors.level):
        of_level = slice(start, start + size)
        score, index = jax.lax.top_k(logit[of_level], min(pre_nms_top, size))
        delta, source = outputs.delta[of_level][index], jnp.asarray(anchors.xyxy[of_level])[index]
        xyxy = boxes.clip(decode(delta, source, ANCHOR_WEIGHTS), valid_hw)
        valid = (score > -jnp.inf) & ~boxes.is_empty(xyxy)
        valid = suppress(xyxy, valid, threshold=nms_threshold)
        kept.append((xyxy, jnp.where(valid, score, -jnp.inf)))
        start += size
    filler = jnp.zeros((max_proposals, 4)), jnp.full(max_proposals, -jnp.inf)
    xyxy, score = (jnp.concatenate(parts) for parts in zip(*kept, filler, strict=True))
    score, index = jax.lax.top_k(score, max_proposals)
    valid = score > -jnp.inf
    xyxy = jnp.where(valid[:, None], xyxy[index], 0.0)
    return Proposals(Boxes(xyxy, valid), jnp.where(valid, score, 0.0))


def detections(
    outputs: RegionBoxes,
    regions: Boxes,
    valid_hw: jax.Array,
    *,
    max_detections: int,
    class_threshold: float,
    nms_threshold: float = 0.5,
) -> Proposals:
    """The objects among one image's regions [R], N = max_detections, in falling score.

    A region's score is its probability of being no background; those above `class_threshold` are
    moved by their offsets, cut to the photograph of valid_hw i32[2], dropped where empty, and
    suppressed where they overlap a better one by an IoU above nms_threshold. Equal scores: the
    first. Padded slots hold empty boxes and score 0.
    """
    score = jax.nn.softmax(outputs.class_logit, axis=-1)[:, 0]
    xyxy = boxes.clip(decode(outputs.delta, regions.xyxy, REGION_WEIGHTS), valid_hw)
    keep = regions.valid & (score > class_threshold) & ~boxes.is_empty(xyxy)
    index, valid = nms(xyxy, score, keep, threshold=nms_threshold, max_outputs=max_detections)
    xyxy = jnp.where(valid[:, None], xyxy[index], 0.0)
    return Proposals(Boxes(xyxy, valid), jnp.where(valid, score[index], 0.0))
