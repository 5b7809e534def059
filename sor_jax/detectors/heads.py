"""The heads over the regions of a batch, a few slots at a time: empty ones cost nothing.

Slots are many, so that nothing is dropped, and mostly empty. They are walked in chunks, up to the
last one in which an image has a region.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sor_jax.models.segmenter import Segmenter
from sor_jax.ops.chunks import in_chunks
from sor_jax.structures import Boxes

CHUNK = 8
_HEADS = ("mask", "iou", "ranking")


class RegionOutputs(NamedTuple):
    """What the heads say of every region; junk in padded slots."""

    mask_logit: jax.Array  # f32[B, R, 28, 28]
    mask_iou: jax.Array | None  # f32[B, R], None where nobody asked
    rank_logit: jax.Array | None  # f32[B, R, K], likewise
    undersampled: jax.Array  # i32[] regions larger than their pooling is bounded for


def run_heads(
    model: Segmenter,
    variables: dict,
    levels,
    boxes: Boxes,
    valid_hw,
    *,
    mask_gradient: bool = False,
    raw_mask: bool = False,
    dropout_keys=None,
    remat: bool = False,
    ranks: bool = True,
    mask_iou: bool = True,
) -> RegionOutputs:
    """Pools the regions and applies the mask, mask IoU and ranking heads.

    Args:
      model, variables: the network.
      levels: of Segmenter.features.
      boxes: [B, R]; cheapest when the valid slots come first.
      valid_hw: i32[B, 2] size of the photograph inside the padding.
      mask_gradient: let gradients flow from the mask IoU and ranking heads into the mask head.
      raw_mask: show the ranking head mask logits, not probabilities.
      ranks, mask_iou: whether these heads run.
      remat: compute what lies inside the heads again for the gradient instead of keeping it.
      dropout_keys: key[B] turns dropout on; what an image draws depends on its own alone.
    """

    def maps(weights, valid_hw, boxes):
        params, levels = weights
        apply = functools.partial(model.apply, {"params": params})
        pooled, undersampled = apply(levels, boxes, valid_hw, method="pool")
        logit = apply(pooled, method="masks")
        seen = logit if mask_gradient else jax.lax.stop_gradient(logit)
        prob = jax.nn.sigmoid(seen)
        of_iou = apply(pooled, prob, method="iou_maps") if mask_iou else None
        mask = seen if raw_mask else prob
        of_rank = apply(pooled, mask, method="token_maps") if ranks else None
        return logit, of_iou, of_rank, undersampled.astype(jnp.float32)

    maps = jax.checkpoint(maps) if remat else maps
    heads = {name: params for name, params in variables["params"].items() if name in _HEADS}
    weights = heads, list(levels)
    logit, of_iou, of_rank, undersampled = in_chunks(maps, weights, valid_hw, boxes, size=CHUNK)
    # Wide layers see all regions at once: their kernels are larger than what a chunk would save.
    apply: Callable[..., Any] = functools.partial(model.apply, variables)
    iou = apply(of_iou, method="mask_iou_of") if mask_iou else None
    tokens = apply(of_rank, boxes, valid_hw, method="tokens_of") if ranks else None
    if not ranks:
        rank_logit = None
    elif dropout_keys is None:
        rank_logit = apply(tokens, boxes, method="ranks")
    else:
        rank_logit = jax.vmap(functools.partial(_ranks_of_image, apply))(
            tokens, boxes, dropout_keys
        )
    return RegionOutputs(logit, iou, rank_logit, jnp.sum(undersampled))


def _ranks_of_image(apply, tokens, boxes, key):
    one = jax.tree.map(lambda x: x[None], (tokens, boxes))
    return apply(*one, train=True, rngs={"dropout": key}, method="ranks")[0]
