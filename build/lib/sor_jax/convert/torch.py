"""The original's arrays, by the original's names <-> the model's variables."""

from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from sor_jax.convert.families import CENTERMASK
from sor_jax.convert.families.family import Family
from sor_jax.convert.fit import FILLED, MAPPED, fit
from sor_jax.convert.layouts import to_torch


def variables_from_torch(
    arrays: Mapping[str, np.ndarray], expected: Mapping, *, family: Family = CENTERMASK
) -> dict:
    """Renames and lays out a whole checkpoint of just this model.

    Args:
      arrays: torch name -> array in torch's layout.
      expected: {"params", "frozen"} of the model, arrays or shapes, e.g. from jax.eval_shape.
      family: whose names these are.

    Returns:
      {"params", "frozen"}, float32 numpy, of the structure of `expected`.

    Raises:
      ValueError: names that have no place, arrays that the model lacks, or shapes that differ;
        each is listed.
    """
    result = fit(arrays, family, expected)
    problems = [
        f"{entry.ours or entry.theirs}: {entry.status} {entry.note}".rstrip()
        for entry in result.entries
        if entry.status not in (MAPPED, FILLED) and not family.no_weight(entry.theirs)
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(
            f"the checkpoint does not fit the model; choose the config that it was made with:\n"
            f"  {listed}"
        )
    return result.variables()


def variables_to_torch(variables: Mapping, *, family: Family = CENTERMASK) -> dict[str, np.ndarray]:
    """The inverse of variables_from_torch: torch name -> f32 array in torch's layout.

    Raises:
      ValueError: the variables hold arrays for which the original has no name; each is listed.
    """
    arrays, nameless = {}, []
    for path, leaf in traverse_util.flatten_dict(dict(variables), sep="/").items():
        array = np.asarray(leaf, np.float32)
        if place := family.their_name(path):
            arrays[place.path] = np.ascontiguousarray(to_torch(array, place.layout))
        elif array.ndim == 1 and family.their_name(f"{path}/0"):
            for i, value in enumerate(array):
                arrays[family.their_name(f"{path}/{i}").path] = value.reshape(1)
        else:
            nameless.append(path)
    if nameless:
        listed = "\n  ".join(nameless)
        raise ValueError(f"{family.name} has no name for these arrays:\n  {listed}")
    return arrays
