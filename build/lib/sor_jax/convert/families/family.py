"""What is known of one family of checkpoints: its names, its input, its licence."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.rename import Row, translate
from sor_jax.models.resnet import RESNETS


class Place(NamedTuple):
    """Where an array goes: its path from the collection down, and its layout there."""

    path: str
    layout: str


class Filled(NamedTuple):
    """An array that the family's networks do without, and what makes ours do the same."""

    array: np.ndarray
    why: str


def fills_nothing(path: str, shape: tuple[int, ...], found: Mapping) -> Filled | None:
    """The family's networks have all arrays of ours."""
    return None


def other_collection(path: str) -> str:
    """Where a kernel at `path` lies when it is trained here and not there, or the reverse.

    Other arrays are in one place only: those of a frozen norm are none of a trained one.
    """
    collection, _, name = path.partition("/")
    if not name.endswith("/kernel"):
        return path
    return f"{'params' if collection == 'frozen' else 'frozen'}/{name}"


@dataclasses.dataclass(frozen=True)
class Family:
    """One family of checkpoints.

    Attributes:
      name: for people and for weights.json.
      licence: of the weights that are published in this form.
      rows: the rename table; where several rows fit, the first counts.
      signature: the name of an array that any checkpoint of the family has; several, any of which.
      normalisation: checkpoint -> the input that the weights expect.
      stride_in_3x3: of ResNets, where their blocks have the stride, as of ResNetSpec: either way
        the arrays have the same names and shapes. None of other networks.
      class_shaped: our paths whose last axis counts the classes.
      not_weights: ending of a name -> what it is, of arrays in the file that are no weights.
      fill: (our path, its shape, what the file gave) -> Filled or None.
    """

    name: str
    licence: str
    rows: tuple[Row, ...]
    signature: tuple[str, ...]
    normalisation: Callable[[Checkpoint], Normalisation]
    stride_in_3x3: bool | None = None
    class_shaped: tuple[str, ...] = ()
    not_weights: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fill: Callable[[str, tuple, Mapping], Filled | None] = fills_nothing

    def check_body(self, backbone: str) -> None:
        """Raises ValueError where the weights would fit a ResNet that computes something else."""
        spec, wanted = RESNETS.get(backbone), self.stride_in_3x3
        if spec is None or wanted is None or spec.stride_in_3x3 == wanted:
            return
        fitting = [name for name, other in RESNETS.items() if other.stride_in_3x3 == wanted]
        raise ValueError(
            f"config.model.backbone is {backbone!r}: its blocks have their stride in "
            f"{'the first 1x1' if wanted else 'the 3x3'} convolution, those of {self.name} in "
            f"{'the 3x3' if wanted else 'the first 1x1'}; expected one of {', '.join(fitting)}"
        )

    def no_weight(self, name: str) -> str | None:
        """What the array that they call `name` is if it is no weight, else None."""
        return next((what for end, what in self.not_weights.items() if name.endswith(end)), None)

    def place(self, name: str) -> Place | None:
        """Where the array that they call `name` goes here; None if nowhere."""
        for row in self.rows:
            if path := translate(name, row.theirs, row.ours):
                return Place(path, row.layout)
        return None

    def their_name(self, path: str) -> Place | None:
        """What they call the array of ours at `path`, and its layout there; None if nothing.

        The table knows kernels as "params/..."; one that is not trained is called the same there.
        """
        for row in self.rows:
            for ours in (path, other_collection(path)):
                if name := translate(ours, row.ours, row.theirs):
                    return Place(name, row.layout)
        return None
