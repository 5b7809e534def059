"""Which regions the mask, mask IoU and ranking heads learn from."""

import jax
import jax.numpy as jnp

from sor_jax.ops import boxes
from sor_jax.structures import Boxes, Proposals, Rois

FOREGROUND_IOU = 0.5


def select_rois(
    proposals: Proposals, gt: Boxes, *, slots: int, foreground_iou: float = FOREGROUND_IOU
) -> Rois:
    """Foreground among one image's proposals [N] and ground-truth boxes [M], in R = `slots` slots.

    Foreground overlaps an object by IoU >= foreground_iou and is matched to the one it overlaps
    most (equal: the first). Ground-truth boxes come first, in their order, then proposals in
    falling IoU (equal: the first); those that do not fit are counted. Padded slots hold empty boxes
    and index 0. No gradient flows through boxes.
    """
    gt, proposed = jax.lax.stop_gradient((gt, proposals.boxes))
    filler = Boxes(jnp.zeros((slots, 4)), jnp.zeros(slots, bool))
    candidate = jax.tree.map(lambda *x: jnp.concatenate(x), gt, proposed, filler)
    best, gt_index = boxes.best_overlap(candidate.xyxy, gt)
    foreground = candidate.valid & (best >= foreground_iou)

    is_gt = jnp.arange(best.shape[0]) < gt.valid.shape[0]
    priority = jnp.where(foreground, jnp.where(is_gt, 2.0, best), -1.0)
    _, chosen = jax.lax.top_k(priority, slots)
    valid = foreground[chosen]
    return Rois(
        boxes=Boxes(jnp.where(valid[:, None], candidate.xyxy[chosen], 0.0), valid),
        gt_index=jnp.where(valid, gt_index[chosen], 0).astype(jnp.int32),
        num_left_out=jnp.maximum(foreground.sum(dtype=jnp.int32) - slots, 0),
    )
