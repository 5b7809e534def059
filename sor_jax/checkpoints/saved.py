"""One saved checkpoint: found, checked, held and read. Only this file and checkpoint.py know orbax.

A whole checkpoint has a list of its files with sizes and check sums, files.json, written last.
"""

import contextlib
import json
import os
import pathlib
import time
import zlib
from collections.abc import Iterator
from typing import Any

import jax
from absl import logging

from sor_jax.checkpoints.best import read_best
from sor_jax.checkpoints.exported import is_exported, read_exported
from sor_jax.checkpoints.kept import FILES, held
from sor_jax.distributed.hosts import barrier, from_all, is_primary
from sor_jax.files import quiet, whole

FOLDER = "checkpoints"
CONFIG = "config.json"  # beside it: what the run was made by


@contextlib.contextmanager
def open_checkpoint(source: str | os.PathLike, *, prefer: str = "best") -> Iterator[pathlib.Path]:
    """The folder of one checkpoint, whose files are as they were written, held within the block.

    A run that saves beside the reader deletes older checkpoints, but none that is held. One that
    vanishes before it can be held is no error: the run has a newer one then, which is taken. Of
    several processes all have to call it, and all get the one that the primary finds.

    Args:
      source: a workdir, or one checkpoint already, such as WORKDIR/checkpoints/4000 or a folder of
        weights as of sor_jax.checkpoints.exported.
      prefer: of a workdir "best" (the last where none has a score) or "last".
    """
    with contextlib.ExitStack() as stack:
        found: pathlib.Path | Exception = pathlib.Path()
        if is_primary():
            try:
                found = stack.enter_context(_open(source, prefer))
            except (OSError, ValueError) as error:
                found = error  # everybody's
        found = from_all(found)[0]
        if isinstance(found, Exception):
            raise found
        if not is_primary():
            stack.enter_context(_open(found, prefer))
        barrier("checkpoint held")
        yield found


@contextlib.contextmanager
def _open(source: str | os.PathLike, prefer: str) -> Iterator[pathlib.Path]:
    for attempt in range(50):
        folder = _choose(source, prefer)
        with held(folder) as is_held:
            damage = _damage_or_absence(folder)
            if damage is None and (is_held or attempt >= 20 or not _is_new(folder)):
                yield folder
                return
        time.sleep(0.1)  # a deletion takes a moment, file by file, and so does a list of files
        if has_manifest(folder) and damage and _damage_or_absence(folder) == damage:
            break  # nobody deletes it
    raise ValueError(f"{folder} is damaged: {damage}. Take another checkpoint")


def _is_new(folder: pathlib.Path) -> bool:
    """Whether a run has touched a checkpoint so lately that its list of files may come yet."""
    try:
        return (folder / "data").is_dir() and time.time() - folder.stat().st_mtime < 60
    except FileNotFoundError:
        return True


def find_checkpoint(source: str | os.PathLike, *, prefer: str = "best") -> pathlib.Path:
    """As open_checkpoint, where nobody deletes anything meanwhile."""
    with open_checkpoint(source, prefer=prefer) as folder:
        return folder


def _damage_or_absence(folder: pathlib.Path) -> str | None:
    try:
        if folder.is_dir() and not (folder / "state").is_dir() and not is_exported(folder):
            return "it holds no state"
        return find_damage(folder) if folder.is_dir() else "it is gone"
    except FileNotFoundError as error:  # it is being deleted
        return f"{error.filename} is gone"


def _choose(source: str | os.PathLike, prefer: str) -> pathlib.Path:
    if prefer not in ("best", "last"):
        raise ValueError(f"prefer is {prefer!r}: it must be 'best' or 'last'")
    source = pathlib.Path(source).expanduser().absolute()
    root = source / FOLDER
    if (source / "state").is_dir() or is_exported(source):
        return source
    steps = steps_in(root)
    if not steps:
        raise FileNotFoundError(
            f"no checkpoint in {source}: looked for {root}/STEP; give the --workdir of a "
            "training run or one of the checkpoints in it"
        )
    best = read_best(source).get("step")
    return root / str(best if prefer == "best" and best in steps else max(steps))


def _orbax():
    from orbax.checkpoint import v1  # slow to import, and weights alone do without

    return v1


def saved_shapes(folder: pathlib.Path) -> Any:
    """The tree of the saved state with its leaves' shapes, wrapped in jax.ShapeDtypeStruct."""
    if is_exported(folder):
        tree = read_exported(folder).variables
    else:
        with _naming(folder):
            tree = _orbax().metadata(folder).metadata
            if tree is None:
                raise FileNotFoundError("the list of its arrays is missing")
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def read_part(folder: pathlib.Path, abstract: dict[str, Any]) -> dict[str, Any]:
    """Only those leaves of a saved state that `abstract` names."""
    if is_exported(folder):
        saved = read_exported(folder).variables
        return _chosen(saved, abstract)
    ocp = _orbax()
    context = ocp.Context()
    context.pytree.loading.partial_load = True
    with context, _naming(folder):
        return ocp.load_checkpointables(folder, {"state": abstract})["state"]


@contextlib.contextmanager
def _naming(folder: pathlib.Path) -> Iterator[None]:
    """Names the checkpoint in whatever orbax meets in files that are missing or broken."""
    try:
        with no_tracebacks():
            yield
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error):  # the device's memory, see sor_jax.commands
            raise
        raise ValueError(
            f"{folder} is damaged or was copied in part: {_first_line(error)}; take another "
            "checkpoint"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).split("\n")[0][:200].rstrip(".")


def _chosen(saved: dict, abstract: dict) -> dict:
    chosen = {}
    for name, leaf in abstract.items():
        if isinstance(leaf, dict):
            chosen[name] = _chosen(saved[name], leaf)
        else:
            chosen[name] = jax.device_put(saved[name], leaf.sharding)
    return chosen


def write_state(folder: str | os.PathLike, state: Any) -> None:
    """Writes one checkpoint on its own, without the data's position."""
    _orbax().save_checkpointables(pathlib.Path(folder).absolute(), {"state": state})


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
        return _first_line(error.__cause__ or error)
    write_manifest(folder)
    return None


def no_tracebacks():
    """Keeps orbax from logging an error that is raised, too, once from each of its threads."""
    return quiet(logging.FATAL)


def write_manifest(folder: pathlib.Path) -> None:
    """Lists the files of a whole checkpoint in it, as FILES."""
    files = {name: [path.stat().st_size, _check_sum(path)] for name, path in _files(folder).items()}
    with whole(folder / FILES) as part, part.open("w") as file:
        json.dump(files, file, indent=0)
        file.flush()
        os.fsync(file.fileno())


def find_damage(folder: pathlib.Path) -> str | None:
    """What is wrong with the files of a checkpoint; None if nothing is, or no list says."""
    if not has_manifest(folder):
        return None
    try:
        expected = json.loads((folder / FILES).read_text())
    except ValueError:
        return f"{FILES} is not JSON"
    found = _files(folder)
    for name, (size, check_sum) in expected.items():
        if name not in found:
            return f"{name} is missing"
        actual = found[name].stat().st_size
        if actual != size:
            return f"{name} has {actual} bytes, not {size}"
        if _check_sum(found[name]) != check_sum:
            return f"{name} does not have the content that was written"
    return None


def has_manifest(folder: pathlib.Path) -> bool:
    """Whether a checkpoint has a list; one whose writer was killed right behind it has none."""
    return (folder / FILES).is_file()


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if FILES not in name}


def _check_sum(path: pathlib.Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
