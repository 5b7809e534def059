"""The model's variables -> the original's arrays, by the original's names."""

from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from sor_jax.convert.families import CENTERMASK
from sor_jax.convert.families.family import Family
from sor_jax.convert.layouts import to_torch


def variables_to_torch(variables: Mapping, *, family: Family = CENTERMASK) -> dict[str, np.ndarray]:
    """The inverse of sor_jax.convert.fit: torch name -> f32 array in torch's layout.

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
