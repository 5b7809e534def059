"""Training of some parts of a model alone: the others stay as they are, bit for bit."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import optax

from sor_jax.detectors.objective import Objective


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
      only: the parts, as of is_trained.
    """

    whole: Objective
    only: tuple[str, ...]

    def __call__(self, params, frozen, batch, rng):
        """As of Objective."""
        return self.whole(self._hold(params), frozen, batch, rng)

    def sums(self, params, frozen, batch, keys):
        """As of Objective."""
        return self.whole.sums(self._hold(params), frozen, batch, keys)

    def total(self, sums):
        """As of Objective."""
        return self.whole.total(sums)

    def _hold(self, params):
        trained = is_trained(params, self.only)
        return jax.tree.map(
            lambda leaf, kept: leaf if kept else jax.lax.stop_gradient(leaf), params, trained
        )
