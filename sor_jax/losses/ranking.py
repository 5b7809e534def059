"""Losses of the ranking head over foreground regions [..., R].

All take logit f32[..., R, K], the rank_class i32[..., R] of the matched objects, K - 1 = the most
salient, and `where` bool[..., R]. A region whose object has no known rank (NO_RANK) counts for
nothing.
"""

import jax
import jax.numpy as jnp
import optax

from sor_jax.losses.reduce import SumCount, masked_sum, read
from sor_jax.structures import NO_RANK


def rank_loss(logit: jax.Array, rank_class: jax.Array, where: jax.Array) -> SumCount:
    """Cross-entropy of each region with its class (the paper's), over the number of regions.

    logit f32[..., R, K], rank_class i32[..., R], where bool[..., R], see the module.
    """
    where = where & (rank_class != NO_RANK)
    loss = optax.losses.softmax_cross_entropy_with_integer_labels(
        read(logit, where), jnp.where(where, rank_class, 0)
    )
    return masked_sum(loss, where)


def pairwise_loss(logit: jax.Array, rank_class: jax.Array, where: jax.Array) -> SumCount:
    """log(1 + exp(s_j - s_i)) where i is to be before j in its image, over the number of pairs.

    s is the expected rank class of a region (RankNet, Burges et al., ICML 2005). Regions of equal
    classes, such as those of one object, are no pair. logit f32[..., R, K], rank_class i32[..., R],
    where bool[..., R], see the module.
    """
    score, where, before = _order(logit, rank_class, where)
    difference = score[..., :, None] - score[..., None, :]
    return masked_sum(jax.nn.softplus(-difference), before)


def listmle_loss(logit: jax.Array, rank_class: jax.Array, where: jax.Array) -> SumCount:
    """The negative log likelihood of the true order under Plackett-Luce, over the regions drawn.

    s, the expected rank class, is the log of a region's strength (ListMLE, Xia et al., ICML 2008).
    Each region is drawn before all of lower classes in its image: -log of its share among itself
    and them, whatever other regions of its own object are. A region with none below it is not
    drawn. logit f32[..., R, K], rank_class i32[..., R], where bool[..., R], see the module.
    """
    score, where, before = _order(logit, rank_class, where)
    rivals = before | jnp.eye(score.shape[-1], dtype=bool)
    strength = jnp.where(rivals, score[..., None, :], -jnp.inf)
    loss = jax.nn.logsumexp(strength, axis=-1) - score
    return masked_sum(loss, where & before.any(axis=-1))


RANK_LOSSES = {"cross_entropy": rank_loss, "pairwise": pairwise_loss, "listmle": listmle_loss}


def _order(logit, rank_class, where):
    """Scores f32[..., R], which regions count, and bool[..., R, R] whether i is before j."""
    where = where & (rank_class != NO_RANK)
    prob = jax.nn.softmax(read(logit, where))
    score = prob @ jnp.arange(logit.shape[-1], dtype=jnp.float32)
    rank_class = jnp.where(where, rank_class, NO_RANK)
    before = rank_class[..., :, None] > rank_class[..., None, :]
    return score, where, before & where[..., :, None] & where[..., None, :]
