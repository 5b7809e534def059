"""Checkpoints: the state and the data's position together, the last two and the best kept.

A workdir holds `checkpoints/STEP`, each written beside its place and renamed when it is whole, and
`best.json`, which says which of them scored best.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import threading
import time
from typing import Any, Protocol

import jax
from orbax.checkpoint import v1 as ocp

from sor_jax.checkpoints.best import BestScore
from sor_jax.checkpoints.kept import Kept
from sor_jax.checkpoints.saved import (
    FOLDER,
    find_any_damage,
    no_tracebacks,
    saved_shapes,
    steps_in,
    write_manifest,
)
from sor_jax.commands import message
from sor_jax.distributed.hosts import barrier, is_primary

ASIDE = "damaged"


class DataPosition(Protocol):
    """An iterator whose position can be taken and set; the position goes into JSON."""

    def get_state(self) -> Any:
        """The position behind the last item that was taken."""

    def set_state(self, state: Any) -> None:
        """Goes to a position."""


class Checkpoints:
    """The checkpoints of one workdir; of a newest one that is damaged it takes the one before.

    Args:
      workdir: made where it is missing.
      best_metric: what `note_score` is told; with "" no checkpoint is kept for its score.
    """

    def __init__(self, workdir: str | os.PathLike, *, best_metric: str = ""):
        self._workdir = pathlib.Path(workdir).absolute()
        self._failed, self._quiet = False, contextlib.ExitStack()
        self._best = BestScore(self._workdir, best_metric)
        self._kept = Kept(self._workdir / FOLDER, self._best)
        if is_primary():
            self._kept.bring_back()
            self._set_damaged_aside()
        barrier("checkpoints checked")
        context = ocp.Context()
        # Weights shrink by 12 %, and compressing takes as much memory as the state once more.
        context.array.saving.use_compression = False
        self._orbax = ocp.training.Checkpointer(
            self._workdir / FOLDER,
            context=context,
            preservation_policy=self._kept,
            cleanup_tmp_directories=True,
        )

    @property
    def last_step(self) -> int | None:
        """The step of the newest whole checkpoint, None before the first."""
        newest = self._orbax.latest
        return newest.step if newest else None

    @property
    def best_step(self) -> int | None:
        """The step that scored best, None before the first score."""
        return self._best.step

    def folder(self, step: int) -> pathlib.Path:
        """Where the checkpoint of a step lies."""
        return self._workdir / FOLDER / str(step)

    def save(self, step: int, state: Any, data: DataPosition) -> None:
        """Writes the state and the data's position; returns when both are safe on the disk."""
        parts = {"state": state, "data": _Position(data)}
        threads = set(threading.enumerate())
        try:
            with no_tracebacks():
                self._check_space(state)
                self._orbax.save_checkpointables(step, parts, force=True)
            if is_primary():
                write_manifest(self.folder(step))
                self._kept.delete()
        except (OSError, ValueError) as error:
            self._failed = True
            if is_primary():
                self._kept.bring_back()
            self._quiet.enter_context(no_tracebacks())  # of threads that still write
            end = time.monotonic() + 5
            for thread in set(threading.enumerate()) - threads:
                thread.join(timeout=max(end - time.monotonic(), 0))
            for left_over in (self._workdir / FOLDER).glob(f"{step}.*tmp*"):
                shutil.rmtree(left_over, ignore_errors=True)
            last = self.last_step
            intact = f"{self.folder(last)} is intact" if last else "there is none before it"
            raise OSError(
                f"step {step} cannot be saved in {self._workdir / FOLDER}: {message(error)}. "
                f"{intact}; make room there and give the same command again"
            ) from None

    def restore(self, abstract: Any, data: DataPosition) -> Any:
        """The last state, its leaves placed as `abstract` says; moves `data` to where it was.

        Args:
          abstract: the state's tree with jax.ShapeDtypeStruct leaves that hold shardings.
          data: the iterator over the same data.

        Raises:
          FileNotFoundError: there is no checkpoint.
          ValueError: the checkpoint holds another state; what it lacks or has beside is named. A
            field that holds nothing may be missing, as in checkpoints of earlier versions.
        """
        if self.last_step is None:
            raise FileNotFoundError(f"{self._workdir / FOLDER} holds no checkpoint to restore")
        folder = self.folder(self.last_step)
        wanted, saved = _fields(abstract), saved_shapes(folder)
        _check_same_state(folder, saved, wanted)
        parts = {
            "state": {name: wanted.get(name, {}) for name in saved},
            "data": _Position(data),
        }
        loaded = self._orbax.load_checkpointables(self.last_step, parts)["state"]
        loaded = {name: loaded[name] for name in wanted if name in loaded}
        return {**wanted, **loaded} if wanted is abstract else abstract.replace(**loaded)

    def note_score(self, step: int, value: float | None) -> bool:
        """Marks a saved step as the best if its score is; returns whether it is."""
        return self._best.note(step, value)

    def close(self) -> None:
        """Ends orbax's background threads."""
        ignored = (Exception,) if self._failed else ()  # `save` has raised it
        with self._quiet, contextlib.suppress(*ignored):
            self._orbax.close()

    def _check_space(self, state: Any) -> None:
        """Raises before orbax begins: where it cannot make a folder, its threads wait for one."""
        if not is_primary():
            return
        probe = self._workdir / FOLDER / ".probe"
        probe.mkdir(exist_ok=True)
        probe.rmdir()
        needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        free = shutil.disk_usage(self._workdir).free
        if free < needed:
            raise OSError(f"it takes {needed / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free")

    def _set_damaged_aside(self) -> None:
        root = self._workdir / FOLDER
        for step in sorted(steps_in(root), reverse=True):
            folder = root / str(step)
            damage = find_any_damage(folder)
            if damage is None:
                return
            aside = self._workdir / ASIDE / str(step)
            shutil.rmtree(aside, ignore_errors=True)
            aside.parent.mkdir(exist_ok=True)
            folder.rename(aside)
            self._best.forget(step)
            before = max(steps_in(root), default=0)
            taken = f"step {before} is taken instead" if before else "none is left: from the start"
            print(f"{folder} is damaged ({damage}) and put aside in {aside}; {taken}", flush=True)


def _fields(state: Any) -> dict[str, Any]:
    if isinstance(state, dict):
        return state
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


def _check_same_state(folder: pathlib.Path, saved: dict, wanted: dict) -> None:
    if _shapes_of(saved.get("opt_state")) != _shapes_of(wanted.get("opt_state")):
        raise ValueError(
            f"{folder} was written with another optimizer than config.optim describes: take "
            "that one, or a new workdir"
        )
    if _shapes_of(saved.get("ema")) != _shapes_of(wanted.get("ema")):
        raise ValueError(
            f"{folder}: config.train.ema asks for a mean of the weights where it has none, or "
            "the other way round: set it as it was, or take a new workdir"
        )
    found, asked = _named_shapes(saved), _named_shapes(wanted)
    if found == asked:
        return
    told = [
        f"{what} {', '.join(names[:4])}{f' and {len(names) - 4} more' if names[4:] else ''}"
        for what, names in {
            "it lacks": sorted(asked.keys() - found.keys()),
            "it alone has": sorted(found.keys() - asked.keys()),
            "of another shape are": sorted(n for n in asked if found.get(n, asked[n]) != asked[n]),
        }.items()
        if names
    ]
    raise ValueError(
        f"{folder} holds another state than this config and this version of sor_jax train: "
        f"{'; '.join(told)}. Take those that it was written with, or a new workdir"
    )


def _shapes_of(tree: Any) -> list[tuple[int, ...]]:
    return [tuple(leaf.shape) for leaf in jax.tree.leaves(tree)]


def _named_shapes(fields: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of all leaves but opt_state's, whose names on disk are not those in memory."""
    leaves = jax.tree_util.tree_leaves_with_path(
        {name: tree for name, tree in fields.items() if name != "opt_state"}
    )
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): x for path, x in leaves}
    return {name: tuple(leaf.shape) for name, leaf in named.items()}


class _Position:
    """A data position in the form that orbax saves and loads."""

    def __init__(self, data: DataPosition):
        self._data = data

    async def save(self, directory):
        text = json.dumps(self._data.get_state())

        async def write():
            folder = await directory.await_creation()
            if is_primary():
                (folder / "position.json").write_text(text)

        return write()

    async def load(self, directory):
        async def read():
            self._data.set_state(json.loads((directory / "position.json").read_text()))

        return read()
