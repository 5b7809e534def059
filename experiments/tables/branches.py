"""Ranking branches trained on cached regions: seconds to a minute each, on whatever there is."""

import dataclasses
import functools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.tables.regions import Regions, Scene
from sor_jax.detectors.predict import RANK_RULES
from sor_jax.losses.ranking import RANK_LOSSES
from sor_jax.losses.reduce import ratio
from sor_jax.metrics.scoreboard import Prediction, Scoreboard
from sor_jax.models.ranking import RankingHead
from sor_jax.structures import NUM_RANKS
from sor_jax.train.optimizer import make_optimizer, warmup_multistep


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a branch trains: AdamW, the rate falls tenfold after 70 % and 90 % of the steps.

    Attributes:
      epochs: times that every image is seen.
      batch_size: images a step.
      rate: after a warm-up of 100 steps, or of a tenth of all steps where these are few.
      rank_loss: as config.loss.rank_loss.
    """

    epochs: int = 10
    batch_size: int = 32
    rate: float = 1e-3
    rank_loss: str = "cross_entropy"

    def steps(self, num_images: int) -> int:
        """Steps in all."""
        return self.epochs * (num_images // self.batch_size)


def train_branch(head: RankingHead, regions: Regions, schedule: Schedule, *, seed: int):
    """A branch's parameters after training by the rank loss; `seed`: of start, order, dropout."""
    num_images, size = len(regions.valid), schedule.batch_size
    if num_images < size:
        raise ValueError(f"{num_images} images do not fill a batch of {size}")
    steps = schedule.steps(num_images)
    optimizer, step = _training(head, schedule, steps)
    key = jax.random.key(seed)
    data = jax.device_put(regions)
    params = _init(head, regions, key)
    opt_state = optimizer.init(params)
    order = np.random.default_rng(seed)
    for number in range(steps):
        place = number % (num_images // size)
        if place == 0:
            shuffled = order.permutation(num_images)
        index = shuffled[place * size : (place + 1) * size]
        params, opt_state = step(params, opt_state, data, index, jax.random.fold_in(key, number))
    return params


@functools.lru_cache(maxsize=16)
def _training(head, schedule, steps):
    """The optimizer and the compiled step, which all seeds of a row share."""
    optimizer = make_optimizer(
        "adamw",
        warmup_multistep(
            schedule.rate,
            warmup_steps=min(100, max(steps // 10, 1)),
            milestones=sorted({int(0.7 * steps), int(0.9 * steps)}),
        ),
        clip_norm=10.0,
    )

    @jax.jit
    def step(params, opt_state, data, index, key):
        choice, dropout = jax.random.split(key)
        part = one_an_object(jax.tree.map(lambda rows: rows[index], data), choice)

        def loss(params):
            logit = rank_logits(head, params, part, train=True, rngs={"dropout": dropout})
            rank_loss = RANK_LOSSES[schedule.rank_loss]
            return ratio(rank_loss(logit, part.rank_class, part.valid))

        grads = jax.grad(loss)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return optimizer, step


def one_an_object(part: Regions, key) -> Regions:
    """One of the regions of every object, drawn at random: [B, R, ..] -> [B, NUM_RANKS, ..].

    As at inference, where no object is seen twice. Objects beyond the first NUM_RANKS are left out.
    """
    is_owner = part.owner[:, None] == jnp.arange(NUM_RANKS)[:, None]
    is_owner &= part.valid[:, None]
    chance = jax.random.uniform(key, is_owner.shape)
    slot = jnp.argmax(jnp.where(is_owner, chance, -1.0), axis=-1)

    def chosen(rows):
        return jnp.take_along_axis(rows, slot.reshape(*slot.shape, *[1] * (rows.ndim - 2)), axis=1)

    return Regions(
        pooled=chosen(part.pooled),
        xyxy=chosen(part.xyxy),
        valid=is_owner.any(axis=-1),
        owner=chosen(part.owner),
        rank_class=chosen(part.rank_class),
        valid_hw=part.valid_hw,
    )


def score_branch(
    head: RankingHead,
    params,
    regions: Regions,
    scenes: Sequence[Scene],
    *,
    rank_rule: str,
    batch_size: int = 50,
) -> list[dict]:
    """The scoreboard's row of every scene, its regions ranked by a branch and one of RANK_RULES."""
    board, rows = Scoreboard(), []
    for start in range(0, len(scenes), batch_size):
        part = jax.tree.map(lambda x, s=start: _filled(x[s : s + batch_size], batch_size), regions)
        found = np.asarray(_ranks(head, rank_rule, params, part))
        for rank_class, scene in zip(found, scenes[start : start + batch_size], strict=False):
            rows.append(board.add(scene.truth, with_ranks(scene.prediction, rank_class)))
    return rows


def with_ranks(prediction: Prediction, rank_class: np.ndarray) -> Prediction:
    """A Scene's prediction with the rank classes i32[R] of its slots, NO_RANK = none."""
    ranks = rank_class[prediction.rank_class]
    kept = np.flatnonzero(ranks >= 0)
    return prediction._replace(
        ranked=prediction.ranked[kept], masks=prediction.masks[kept], rank_class=ranks[kept]
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _ranks(head, rank_rule, params, part):
    return jax.vmap(RANK_RULES[rank_rule])(rank_logits(head, params, part), part.valid)


def rank_logits(head: RankingHead, params, part: Regions, *, train=False, rngs=None) -> jax.Array:
    """f32[B, R, 5] of a part of some regions."""
    return nn.apply(_logits, head)({"params": params}, part, train, rngs=rngs)


def _logits(head, part: Regions, train):
    pooled = part.pooled.astype(jnp.float32)
    # The mask probability joins the features only in the original's own configs.
    mask_prob = jnp.zeros((*part.valid.shape, 2 * pooled.shape[2], 2 * pooled.shape[3]))
    tokens = head.tokens(pooled, mask_prob, part.xyxy, part.valid_hw)
    return head.interact(tokens, part.valid, train=train)


def _init(head, regions, key):
    one = jax.tree.map(lambda rows: rows[:1], regions)
    return jax.jit(lambda key: nn.init(_logits, head)(key, one, False)["params"])(key)


def _filled(rows, count):
    missing = count - len(rows)
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
