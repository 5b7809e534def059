"""Rank logits of one image's regions -> one rank class a region, no two alike."""

import jax
import jax.numpy as jnp

from sor_jax.structures import NO_RANK


def assign_ranks(rank_logit: jax.Array, valid: jax.Array) -> jax.Array:
    """The paper's rule: rank 1 to the region most probable to be first, rank 2 among the rest, ..

    Takes rank_logit f32[N, K] and valid bool[N], N >= 1. Returns rank classes i32[N], NO_RANK where
    none is left or valid is False. Probabilities are a softmax over the K ranks of a region; equal
    ones: the first region. With fewer regions than ranks the last ranks stay empty.
    """
    # Log-odds order as probabilities do, but do not round to 1 for every confident region.
    same = jnp.eye(rank_logit.shape[-1], dtype=bool)
    others = jnp.where(same, -jnp.inf, rank_logit[:, None, :])
    log_odds = rank_logit - jax.nn.logsumexp(others, axis=-1)
    return _sequential(log_odds, valid, threshold=-jnp.inf)


def assign_ranks_reference(
    rank_logit: jax.Array, valid: jax.Array, *, threshold: float = 0.1
) -> jax.Array:
    """The rule of the paper's released code: softmax over the regions, and a rank may stay free.

    As `assign_ranks`, of rank_logit f32[N, K] and valid bool[N] to rank classes i32[N], but a score
    is a softmax over the N regions for each rank, and a rank goes to the best region left only
    where that score, 0..1, is above the threshold.
    """
    score = jax.nn.softmax(jnp.where(valid[:, None], rank_logit, -jnp.inf), axis=0)
    return _sequential(score, valid, threshold=threshold)


def assign_ranks_expected(rank_logit: jax.Array, valid: jax.Array) -> jax.Array:
    """Not the paper's: ranks in the order of the regions' mean rank, rank 1 to the highest.

    As `assign_ranks`, of rank_logit f32[N, K] and valid bool[N] to rank classes i32[N], but a
    region is judged by all its probabilities at once, the mean of its rank class. By the paper's
    rule a region that may be first or third loses rank 2 to one that is last or, somewhat more
    often than it, second.
    """
    rank_class = jnp.arange(rank_logit.shape[-1])
    # log(mean / (highest - mean)) orders as the mean does, but never rounds to either end.
    above = jax.nn.logsumexp(rank_logit, axis=-1, b=rank_class)
    below = jax.nn.logsumexp(rank_logit, axis=-1, b=rank_class[::-1])
    score = jnp.broadcast_to((above - below)[:, None], rank_logit.shape)
    return _sequential(score, valid, threshold=-jnp.inf)


def _sequential(score: jax.Array, valid: jax.Array, *, threshold: float) -> jax.Array:
    """From the highest class down, gives each class to the best region left if above threshold."""
    num_ranks = score.shape[-1]

    def assign(rank_class, k):
        left = valid & (rank_class == NO_RANK)
        best = jnp.argmax(jnp.where(left, score[:, k], -jnp.inf))
        taken = left[best] & (score[best, k] > threshold)
        return rank_class.at[best].set(jnp.where(taken, k, rank_class[best])), None

    none = jnp.full(valid.shape, NO_RANK, jnp.int32)
    return jax.lax.scan(assign, none, jnp.arange(num_ranks)[::-1])[0]
