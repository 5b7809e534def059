"""Gradients -> updates: SGD exactly as in torch, or AdamW, with no decay for norm layers."""

import re
from typing import Any

import jax
import optax

_NORM = re.compile(r"^norm|norm(_?\d+)?$")


def make_optimizer(
    name: str,
    rate: optax.Schedule,
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
            optax.scale_by_learning_rate(rate),
        ]
    elif name == "adamw":
        steps = [optax.adamw(rate, b1=momentum, weight_decay=weight_decay, mask=decays)]
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
