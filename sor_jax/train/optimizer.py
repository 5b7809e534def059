"""Gradients -> updates: learning rate, SGD exactly as in torch or AdamW, which parts train."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import jax
import optax

from sor_jax.detectors.objective import Objective

_NORM = re.compile(r"^norm|norm(_?\d+)?$")


def build_schedule(optim) -> optax.Schedule:
    """The learning rate of a config's `optim`: step -> f32[]."""
    return warmup_multistep(
        optim.learning_rate,
        warmup_steps=optim.warmup_steps,
        warmup_factor=optim.warmup_factor,
        milestones=tuple(optim.milestones),
    )


def build_optimizer(optim) -> optax.GradientTransformation:
    """The optimizer of a config's `optim`."""
    optimizer = make_optimizer(
        optim.name,
        build_schedule(optim),
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
        clip_norm=optim.clip_norm,
    )
    return train_only(optimizer, tuple(optim.trainable)) if optim.trainable else optimizer


def warmup_multistep(
    learning_rate: float,
    *,
    warmup_steps: int = 1000,
    warmup_factor: float = 0.001,
    milestones: Sequence[int] = (42_000, 50_000),
    gamma: float = 0.1,
) -> optax.Schedule:
    """The schedule of the paper and of the released training code.

    Step i counts from 0. Below `warmup_steps` the rate is
    learning_rate * (factor + (1 - factor) * i / warmup_steps), then learning_rate; from each
    milestone on, the milestone itself included, it is multiplied by `gamma` once more; by
    those within the warm-up when it ends.
    """
    # join_schedules counts the second part from its start.
    drops = {milestone - warmup_steps: gamma for milestone in milestones}
    after = optax.piecewise_constant_schedule(learning_rate, drops)
    if not warmup_steps:
        return after
    warmup = optax.linear_schedule(learning_rate * warmup_factor, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def make_optimizer(
    name: str,
    learning_rate: optax.Schedule,
    *,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    clip_norm: float | None = None,
) -> optax.GradientTransformation:
    """The optimizer called `name`, "sgd" or "adamw".

    "sgd" is torch's: the decay joins the gradient, then comes the momentum, and the rate
    multiplies the velocity; no Nesterov, no dampening. "adamw" decays apart from the gradient, and
    `momentum` is its first moment's. With `clip_norm` the gradients' global norm is clipped first.
    Weights and biases of norm layers do not decay (`decays`).
    """
    if name == "sgd":
        steps = [
            optax.add_decayed_weights(weight_decay, mask=decays),
            optax.trace(decay=momentum),
            optax.scale_by_learning_rate(learning_rate),
        ]
    elif name == "adamw":
        steps = [optax.adamw(learning_rate, b1=momentum, weight_decay=weight_decay, mask=decays)]
    else:
        raise ValueError(f"optim.name is {name!r}: it must be 'sgd' or 'adamw'")
    if clip_norm:
        steps.insert(0, optax.clip_by_global_norm(clip_norm))
    return optax.chain(*steps)


def decays(params: Any) -> Any:
    """A tree like `params` of bools: False for the scale and the bias of norm layers.

    A norm layer is a module whose name, the number behind it aside, starts or ends with "norm" in
    any case: norm1, tower_norm, GroupNorm_0. Kernels always decay.
    """
    return jax.tree_util.tree_map_with_path(lambda path, _: _decays(path), params)


def _decays(path) -> bool:
    names = [str(getattr(entry, "key", entry)).lower() for entry in path]
    module, leaf = names[-2] if len(names) > 1 else "", names[-1]
    return not (leaf in ("scale", "bias") and _NORM.search(module))


def is_trained(params: Any, only: Sequence[str]) -> Any:
    """A tree like `params` of bools: True in the parts (top-level names) of `only`.

    Raises ValueError for a name that the model has no part of.
    """
    unknown = sorted(set(only) - set(params))
    if unknown:
        raise ValueError(
            f"config.optim.trainable names {', '.join(unknown)}; the model's parts are "
            f"{', '.join(sorted(params))}"
        )
    return jax.tree_util.tree_map_with_path(lambda path, _: path[0].key in only, params)


def train_only(
    optimizer: optax.GradientTransformation, only: Sequence[str]
) -> optax.GradientTransformation:
    """The optimizer for the parts of `only`; no update, no decay and no memory for the others."""

    def labels(params):
        return jax.tree.map(lambda kept: "train" if kept else "hold", is_trained(params, only))

    return optax.partition({"train": optimizer, "hold": optax.set_to_zero()}, labels)


@dataclasses.dataclass(frozen=True)
class PartialObjective:
    """An objective without gradient outside of some parts: nothing is computed backward there.

    Attributes:
      whole: the objective.
      only: the parts that train, top-level names of the model.
    """

    whole: Objective
    only: tuple[str, ...]

    def __call__(self, params, frozen, batch, rng):
        """(total f32[], scalars) of a batch, as of the whole objective."""
        return self.whole(self._hold(params), frozen, batch, rng)

    def sums(self, params, frozen, batch, keys):
        """Each loss as a sum and a count, as of the whole objective."""
        return self.whole.sums(self._hold(params), frozen, batch, keys)

    def total(self, sums):
        """(total f32[], scalars) of such sums."""
        return self.whole.total(sums)

    def _hold(self, params):
        trained = is_trained(params, self.only)
        return jax.tree.map(
            lambda leaf, kept: leaf if kept else jax.lax.stop_gradient(leaf), params, trained
        )
