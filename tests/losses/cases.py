"""One small random case of every loss, for the laws that all of them keep, and what they hold."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.losses import dense, masks, ranking, rcnn
from sor_jax.losses.reduce import ratio


class Case(NamedTuple):
    """loss(pred, *rest, where) -> SumCount; leaves have leading axes [2, 6]."""

    loss: Callable
    pred: np.ndarray
    rest: tuple
    where: np.ndarray


def _where(rng):
    where = rng.random((2, 6)) < 0.6
    where[0, :2] = True, False
    return where


def _normal(rng, *shape):
    return 2 * rng.standard_normal((2, 6, *shape)).astype(np.float32)


def _uniform(rng, *shape, low=0.1, high=4.0):
    return rng.uniform(low, high, (2, 6, *shape)).astype(np.float32)


def numbers(loss):
    """f32[2]: the total and the count of a SumCount."""
    return np.asarray(jax.tree.leaves(loss))


def value_and_gradient(loss, pred, *rest):
    """f32[2] as above, and the gradient of the divided loss with respect to the prediction."""

    def divided(pred):
        sum_count = loss(pred, *rest)
        return ratio(sum_count), sum_count

    gradient, sum_count = jax.grad(divided, has_aux=True)(pred)
    return numbers(sum_count), np.asarray(gradient)


def make_cases():
    """{name: Case}."""
    rng = np.random.default_rng(0)
    bits = rng.random((2, 6, 3, 3)) < 0.5
    share = _uniform(rng, low=0.0, high=1.0)
    cases = {
        "focal": (dense.focal_loss, _normal(rng), (rng.random((2, 6)) < 0.5,)),
        "box": (dense.box_loss, _uniform(rng, 4), (_uniform(rng, 4), share)),
        "centerness": (dense.centerness_loss, _normal(rng), (share,)),
        "mask": (masks.mask_loss, _normal(rng, 3, 3), (bits,)),
        "mask_iou": (masks.mask_iou_loss, _normal(rng), (np.where(share < 0.2, 0, share),)),
        "objectness": (rcnn.objectness_loss, _normal(rng), (rng.random((2, 6)) < 0.5,)),
        "offset": (rcnn.offset_loss, _normal(rng, 4), (_normal(rng, 4),)),
        "region_class": (rcnn.class_loss, _normal(rng, 2), (rng.random((2, 6)) < 0.5,)),
        "rank": (ranking.rank_loss, _normal(rng, 5), (rng.integers(0, 5, (2, 6)),)),
    }
    return {
        name: Case(loss, *jax.tree.map(jnp.asarray, (pred, rest, _where(rng))))
        for name, (loss, pred, rest) in cases.items()
    }


CASES = make_cases()
