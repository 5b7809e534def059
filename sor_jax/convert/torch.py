"""The original's arrays, by the original's names -> the model's variables."""

from collections.abc import Mapping

import numpy as np
from flax import traverse_util

from sor_jax.convert.layouts import from_torch
from sor_jax.convert.names import place

# The input normalisation; it belongs to the config.
_NOT_WEIGHTS = ("pixel_mean", "pixel_std")


def variables_from_torch(arrays: Mapping[str, np.ndarray], expected: Mapping) -> dict:
    """Renames and lays out a checkpoint's arrays.

    Args:
      arrays: torch name -> array in torch's layout.
      expected: {"params", "frozen"} of the model, arrays or shapes, e.g. from jax.eval_shape.

    Returns:
      {"params", "frozen"}, float32 numpy, of the structure of `expected`.

    Raises:
      ValueError: names that have no place, arrays that the model lacks, or shapes that differ;
        each is listed.
    """
    shapes = {k: tuple(v.shape) for k, v in traverse_util.flatten_dict(dict(expected)).items()}
    found, problems = {}, []
    elements: dict[tuple, dict[int, np.ndarray]] = {}
    for name, array in arrays.items():
        target = place(name)
        if target is None:
            if name not in _NOT_WEIGHTS:
                problems.append(f"{name}: has no place in this model")
        elif target.layout == "element":
            *path, index = target.path
            elements.setdefault(tuple(path), {})[int(index)] = array
        else:
            found[target.path] = from_torch(np.asarray(array, np.float32), target.layout)
    for path, parts in elements.items():
        found[path] = np.concatenate([parts[i].reshape(1) for i in sorted(parts)])

    for path, shape in shapes.items():
        if path not in found:
            problems.append(f"{'/'.join(path)}: is not in the checkpoint")
        elif found[path].shape != shape:
            problems.append(
                f"{'/'.join(path)}: has shape {found[path].shape} in the checkpoint, "
                f"expected {shape}"
            )
    extra = sorted("/".join(p) for p in found.keys() - shapes.keys())
    problems += [f"{path}: is in the checkpoint but not in the model" for path in extra]
    if problems:
        listed = "\n  ".join(problems)
        raise ValueError(
            f"the checkpoint does not fit the model; choose the config that it was made with:\n"
            f"  {listed}"
        )
    return traverse_util.unflatten_dict(found)
