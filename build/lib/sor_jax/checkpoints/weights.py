"""The model's variables out of checkpoints, shapes checked and parameters named in errors."""

import os
import pathlib
from typing import Any

import jax
from absl import logging
from flax import traverse_util

from sor_jax.checkpoints.saved import open_checkpoint, read_part, saved_shapes, write_state

PARTS = ("params", "frozen")


def load_variables(source: str | os.PathLike, abstract: Any, *, prefer: str = "best") -> Any:
    """The variables of a checkpoint, for a model that has to be the same.

    Where a run kept a mean of its parameters (config.train.ema) that is what comes.

    Args:
      source: a workdir or one checkpoint in it.
      abstract: {"params": .., "frozen": ..} of arrays or jax.ShapeDtypeStruct (jax.eval_shape of
        the model's start); a leaf without a sharding comes to the first device.
      prefer: which one of a workdir, "best" (the last where none has a score) or "last".
    """
    with open_checkpoint(source, prefer=prefer) as folder:
        check_same_model(folder, abstract)
        return {**abstract, **_read(folder, _unflat(_abstract(abstract)))}


def init_variables_from(source: str | os.PathLike, variables: Any) -> Any:
    """Fresh variables with everything that a checkpoint also has taken from there.

    Another shape is an error that names the parameter. What the checkpoint lacks keeps its start,
    and a warning names it. Shardings are those of `variables`.
    """
    with open_checkpoint(source) as folder:
        return _taken_from(folder, variables)


def _taken_from(folder: pathlib.Path, variables: Any) -> Any:
    fresh = _flat(variables)
    missing, extra = _compare(folder, variables)
    shared = {name: fresh[name] for name in fresh if name not in missing}
    if not any(name.startswith("params/") for name in shared):
        raise ValueError(
            f"init_from: {folder} shares no parameter with the model; it has {_some(extra)}, the "
            f"model {_some(missing)}"
        )
    if missing:
        logging.warning("init_from %s lacks %s: they keep their start", folder, _some(missing))
    if extra:
        logging.warning("init_from %s: the model has no %s", folder, _some(extra))
    loaded = _read(folder, _unflat(_abstract(_unflat(shared))))
    return {**variables, **_unflat({**fresh, **_flat(loaded)})}


def save_variables(folder: str | os.PathLike, variables: Any) -> None:
    """Writes {"params": .., "frozen": ..} as a checkpoint that the two functions above read."""
    write_state(folder, variables)


def check_same_model(folder: str | os.PathLike, abstract: Any) -> None:
    """Raises ValueError unless a checkpoint holds just the variables of `abstract`."""
    missing, extra = _compare(folder, abstract)
    if missing or extra:
        raise ValueError(
            f"{folder} is of another model: it lacks {_some(missing)} and has {_some(extra)} "
            "beside them; take the config that it was trained with, or another workdir"
        )


def _source(part: str, saved: dict) -> str:
    """Where a checkpoint holds the variables of a part."""
    return "ema" if part == "params" and saved.get("ema") else part


def _read(folder, abstract: dict) -> dict:
    """read_part of variables, each from where it is held."""
    saved = saved_shapes(folder)
    held = {_source(part, saved): tree for part, tree in abstract.items()}
    loaded = read_part(folder, held)
    return {
        part: loaded[_source(part, saved)] for part in abstract if _source(part, saved) in loaded
    }


def _compare(folder, variables) -> tuple[list[str], list[str]]:
    """Names that the checkpoint lacks, and names that only it has; shapes must agree."""
    saved = saved_shapes(folder)
    saved = _flat({part: saved.get(_source(part, saved)) or {} for part in PARTS})
    expected = _flat(variables)
    for name in sorted(saved.keys() & expected.keys()):
        found, wanted = tuple(saved[name].shape), tuple(expected[name].shape)
        if found != wanted:
            raise ValueError(
                f"{folder}: {name} has shape {found}, the model's has {wanted}; take a config "
                "whose model is the checkpoint's"
            )
    return sorted(expected.keys() - saved.keys()), sorted(saved.keys() - expected.keys())


def _some(names: list[str], shown: int = 6) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _flat(tree) -> dict[str, Any]:
    return traverse_util.flatten_dict(tree, sep="/")


def _unflat(flat):
    return traverse_util.unflatten_dict(flat, sep="/")


def _abstract(tree) -> dict[str, jax.ShapeDtypeStruct]:
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return {
        name: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here
        )
        for name, leaf in _flat(tree).items()
    }
