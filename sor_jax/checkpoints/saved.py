"""One saved checkpoint: found, looked into, read. Only this file and checkpoint.py know orbax."""

import contextlib
import json
import os
import pathlib
from typing import Any

import jax
from absl import logging
from orbax.checkpoint import v1 as ocp

from sor_jax.checkpoints.best import read_best
from sor_jax.checkpoints.integrity import find_damage, has_manifest, write_manifest

FOLDER = "checkpoints"
CONFIG = "config.json"  # beside it: what the run was made by


def find_checkpoint(source: str | os.PathLike, *, prefer: str = "best") -> pathlib.Path:
    """The folder of one checkpoint, whose files are as they were written.

    Args:
      source: a workdir, or one checkpoint already, such as WORKDIR/checkpoints/4000.
      prefer: of a workdir "best" (the last where none has a score) or "last".
    """
    if prefer not in ("best", "last"):
        raise ValueError(f"prefer is {prefer!r}: it must be 'best' or 'last'")
    source = pathlib.Path(source).absolute()
    root = source / FOLDER
    folder = source
    if not (source / "state").is_dir():
        steps = steps_in(root)
        if not steps:
            raise FileNotFoundError(
                f"no checkpoint in {source}: looked for {root}/STEP; give the --workdir of a "
                "training run or one of the checkpoints in it"
            )
        best = read_best(source, default={}).get("step")
        folder = root / str(best if prefer == "best" and best in steps else max(steps))
    damage = find_damage(folder)
    if damage:
        raise ValueError(f"{folder} is damaged: {damage}. Take another checkpoint")
    return folder


def saved_shapes(folder: pathlib.Path) -> Any:
    """The tree of the saved state with its leaves' shapes, wrapped in jax.ShapeDtypeStruct."""
    tree = ocp.metadata(folder).metadata
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def read_part(folder: pathlib.Path, abstract: dict[str, Any]) -> dict[str, Any]:
    """Only those leaves of a saved state that `abstract` names."""
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    with context:
        return ocp.load_checkpointables(folder, {"state": abstract})["state"]


def write_state(folder: str | os.PathLike, state: Any) -> None:
    """Writes one checkpoint on its own, without the data's position."""
    ocp.save_checkpointables(pathlib.Path(folder).absolute(), {"state": state})


def steps_in(root: pathlib.Path) -> list[int]:
    """The steps of the checkpoints in a folder; those half written have other names."""
    return [int(path.name) for path in root.glob("*") if path.name.isdigit()]


def find_any_damage(folder: pathlib.Path) -> str | None:
    """As find_damage; a checkpoint without a list of files is read as a whole, then listed."""
    if has_manifest(folder):
        return find_damage(folder)
    if jax.process_count() > 1:
        return None  # reading takes all processes
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
        with no_tracebacks():
            json.loads((folder / "data" / "position.json").read_text())
            shapes = saved_shapes(folder)
            read_part(folder, jax.tree.map(lambda leaf: leaf.update(sharding=here), shapes))
    except Exception as error:  # whatever orbax meets in broken files
        return str(error).split("\n")[0][:200]
    write_manifest(folder)
    return None


@contextlib.contextmanager
def no_tracebacks():
    """Keeps orbax from logging an error that is raised, too, once from each of its threads."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)
