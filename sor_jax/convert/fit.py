"""A checkpoint's arrays against the arrays that a model has: what goes where, and what does not."""

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from flax import traverse_util

from sor_jax.convert.families import CENTERMASK
from sor_jax.convert.families.family import Family, other_collection
from sor_jax.convert.layouts import from_torch, to_torch

MAPPED, FILLED, FRESH = "mapped", "filled", "re-initialised"
MISSING, UNUSED, MISMATCH = "missing", "unused", "shape mismatch"
STATUSES = (MAPPED, FILLED, FRESH, MISSING, UNUSED, MISMATCH)
NO_PLACE = "has no place in this kind of model"


class Entry(NamedTuple):
    """What became of one array.

    Attributes:
      status: one of STATUSES.
      ours: its path in the model, "" where it has none.
      theirs: its name in the file, "" where it has none.
      note: why, and the shapes.
    """

    status: str
    ours: str
    theirs: str
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Fit:
    """The outcome.

    Attributes:
      arrays: path -> f32 array of all that is mapped or filled.
      entries: one for every array of the file and of the model.
    """

    arrays: dict[str, np.ndarray]
    entries: list[Entry]

    def of(self, *statuses: str) -> list[Entry]:
        """The entries of these statuses."""
        return [entry for entry in self.entries if entry.status in statuses]

    def variables(self) -> dict:
        """The arrays as {"params": .., "frozen": ..}."""
        tree = traverse_util.unflatten_dict(self.arrays, sep="/")
        return {"params": {}, "frozen": {}, **tree}


class _LaidOut(NamedTuple):
    theirs: str
    array: np.ndarray | None
    note: str = ""


def flat_shapes(variables: Mapping) -> dict[str, tuple[int, ...]]:
    """{path: shape} of {"params": .., "frozen": ..}, of arrays or jax.ShapeDtypeStruct."""
    flat = traverse_util.flatten_dict(dict(variables), sep="/")
    return {path: tuple(leaf.shape) for path, leaf in flat.items()}


def fit(
    arrays: Mapping[str, np.ndarray],
    family: Family,
    expected: Mapping,
    *,
    allow_missing: Sequence[str] = (),
) -> Fit:
    """Renames and lays out a checkpoint's arrays and compares them with a model's.

    Args:
      arrays: their name -> array in their layout.
      family: whose names these are.
      expected: {"params": .., "frozen": ..} of the model, arrays or jax.ShapeDtypeStruct.
      allow_missing: patterns (as of `allowed`) of what may start afresh.
    """
    laid_out, entries = _laid_out(arrays, family)
    shapes = flat_shapes(expected)
    # A checkpoint does not say what is trained: that is the config's.
    laid_out = {
        other if path not in shapes and (other := other_collection(path)) in shapes else path: item
        for path, item in laid_out.items()
    }
    taken = {}
    for path, shape in shapes.items():
        entry, array = _compare(path, shape, laid_out, family)
        if entry.status in (MISSING, MISMATCH) and allowed(path, allow_missing):
            why = entry.note or "not in the file"
            entry = entry._replace(status=FRESH, note=f"{why}; allowed by --allow-missing")
        if array is not None:
            taken[path] = array
        entries.append(entry)
    for path in sorted(laid_out.keys() - shapes.keys()):
        entries.append(Entry(UNUSED, path, laid_out[path].theirs, "the model has no such array"))
    return Fit(taken, entries)


def variables_to_torch(variables: Mapping, *, family: Family = CENTERMASK) -> dict[str, np.ndarray]:
    """The inverse of `fit`: torch name -> f32 array in torch's layout.

    Raises:
      ValueError: the variables hold arrays for which the original has no name; each is listed.
    """
    arrays, nameless = {}, []
    for path, leaf in traverse_util.flatten_dict(dict(variables), sep="/").items():
        array = np.asarray(leaf, np.float32)
        if place := family.their_name(path):
            arrays[place.path] = np.ascontiguousarray(to_torch(array, place.layout))
        else:
            count = array.size if array.ndim == 1 else 0
            places = [family.their_name(f"{path}/{i}") for i in range(count)]
            names = [place.path for place in places if place]
            if names and len(names) == count:
                arrays |= {name: value.reshape(1) for name, value in zip(names, array, strict=True)}
            else:
                nameless.append(path)
    if nameless:
        listed = "\n  ".join(nameless)
        raise ValueError(f"{family.name} has no name for these arrays:\n  {listed}")
    return arrays


def allowed(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern fits the path, with or without "params/" or "frozen/" before it.

    `*` stands for anything; a pattern also means all below that name. Commas separate several.
    """
    short = path.partition("/")[2]
    return any(
        fnmatch.fnmatchcase(name, wanted)
        for pattern in ",".join(patterns).split(",")
        for wanted in (pattern, f"{pattern.rstrip('/')}/*")
        for name in (path, short)
    )


def unsound(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """{path: what is wrong} of arrays that hold nan, inf or, of a norm, a variance below 0."""
    found = {}
    for path, array in arrays.items():
        array = np.asarray(array, np.float32)
        bad = array.size - np.count_nonzero(np.isfinite(array))
        if bad:
            found[path] = f"{bad} of {array.size} numbers are nan or inf"
        elif path.startswith("frozen/") and path.endswith("/var") and np.any(array < 0):
            found[path] = f"a variance is {array.min():g}, expected at least 0"
    return found


def _laid_out(arrays: Mapping[str, np.ndarray], family: Family):
    """{path: _LaidOut} in our layouts, and entries of what has no place here."""
    laid_out, entries = {}, []
    elements: dict[str, dict[int, tuple[str, np.ndarray]]] = {}
    for name, array in arrays.items():
        place = family.place(name)
        if what := family.no_weight(name):
            entries.append(Entry(UNUSED, "", name, what))
        elif place is None:
            entries.append(Entry(UNUSED, "", name, NO_PLACE))
        elif place.layout == "element":
            path, _, index = place.path.rpartition("/")
            elements.setdefault(path, {})[int(index)] = name, array
        else:
            laid_out[place.path] = _lay_out(name, array, place.layout)
    for path, parts in elements.items():
        laid_out[path] = _vector(parts)
    return laid_out, entries


def _lay_out(name, array, layout):
    try:
        return _LaidOut(name, from_torch(_float32(array), layout))
    except ValueError as error:
        return _LaidOut(name, None, f"{tuple(array.shape)} in the file {error}")


def _float32(array):
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf: see `unsound`
        return np.asarray(array, np.float32)


def _vector(parts):
    names = ", ".join(name for name, _ in parts.values())
    if sorted(parts) != list(range(len(parts))) or any(a.size != 1 for _, a in parts.values()):
        return _LaidOut(names, None, "not one number each, counted from 0")
    array = np.concatenate([_float32(parts[i][1]).reshape(1) for i in sorted(parts)])
    return _LaidOut(names, array)


def _compare(path, shape, laid_out, family):
    """(entry, array or None) of one array of the model."""
    if path not in laid_out:
        given = {name for name, item in laid_out.items() if item.array is not None}
        filled = family.fill(path, shape, given)
        if filled is None:
            return Entry(MISSING, path, ""), None
        return Entry(FILLED, path, "", filled.why), filled.array
    theirs, array, note = laid_out[path]
    if array is None:
        return Entry(MISMATCH, path, theirs, f"{note}, the model's is {shape}"), None
    if array.shape == shape:
        return Entry(MAPPED, path, theirs), array
    if path in family.class_shaped and array.shape[:-1] == shape[:-1]:
        note = f"{array.shape[-1]} classes in the file, {shape[-1]} in the model"
        return Entry(FRESH, path, theirs, note), None
    note = f"{array.shape} in the file, {shape} in the model"
    return Entry(MISMATCH, path, theirs, note), None
