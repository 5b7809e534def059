"""Checkpoints: the state and the data's position together, the last and the best kept.

A workdir holds `checkpoints/STEP`, each written beside its place and renamed when it is whole, and
`best.json`, which says which of them scored best. Only this file knows orbax.
"""

import json
import math
import os
import pathlib
from typing import Any, Protocol

import jax
from orbax.checkpoint import v1 as ocp

FOLDER = "checkpoints"
BEST = "best.json"
LOWER_IS_BETTER = ("mae",)


class DataPosition(Protocol):
    """An iterator whose position can be taken and set; the position goes into JSON."""

    def get_state(self) -> Any:
        """The position behind the last item that was taken."""

    def set_state(self, state: Any) -> None:
        """Goes to a position."""


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: made where it is missing.
      best_metric: what `note_score` is told; with "" only the last checkpoint is kept.
    """

    def __init__(self, workdir: str | os.PathLike, *, best_metric: str = ""):
        self._workdir = pathlib.Path(workdir).absolute()
        self._metric = best_metric
        context = ocp.Context()
        # Weights shrink by 12 %, and compressing takes as much memory as the state once more.
        context.array.saving.use_compression = False
        self._orbax = ocp.training.Checkpointer(
            self._workdir / FOLDER,
            context=context,
            preservation_policy=_LastAndBest(self),
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
        best = self._best()
        return best["step"] if best else None

    def folder(self, step: int) -> pathlib.Path:
        """Where the checkpoint of a step lies."""
        return self._workdir / FOLDER / str(step)

    def save(self, step: int, state: Any, data: DataPosition) -> None:
        """Writes the state and the data's position; returns when both are safe on the disk."""
        parts = {"state": state, "data": _Position(data)}
        self._orbax.save_checkpointables(step, parts, force=True)

    def restore(self, abstract: Any, data: DataPosition) -> Any:
        """The last state, its leaves placed as `abstract` says; moves `data` to where it was.

        Args:
          abstract: the state's tree with jax.ShapeDtypeStruct leaves that hold shardings.
          data: the iterator over the same data.
        """
        folder = self.folder(self.last_step)
        if _shapes_of("opt_state", saved_shapes(folder)) != _shapes_of("opt_state", abstract):
            raise ValueError(
                f"{folder} was written with another optimizer than config.optim describes: take "
                "that one, or a new workdir"
            )
        parts = {"state": abstract, "data": _Position(data)}
        return self._orbax.load_checkpointables(self.last_step, parts)["state"]

    def note_score(self, step: int, value: float | None) -> bool:
        """Marks a saved step as the best if its score is; returns whether it is.

        Equal scores leave the earlier one; None or NaN is no score.
        """
        if not self._metric or value is None or not math.isfinite(value):
            return False
        sign = -1 if self._metric in LOWER_IS_BETTER else 1
        best = self._best()
        if best and sign * value <= sign * best["value"]:
            return False
        text = json.dumps({"step": step, "metric": self._metric, "value": float(value)})
        part = self._workdir / f"{BEST}.part"
        part.write_text(text + "\n")
        part.replace(self._workdir / BEST)
        return True

    def close(self) -> None:
        """Ends orbax's background threads."""
        self._orbax.close()

    def _best(self):
        best = _read_best(self._workdir)
        return best if best and best["metric"] == self._metric else None


def find_checkpoint(source: str | os.PathLike, *, prefer: str = "best") -> pathlib.Path:
    """The folder of one checkpoint.

    Args:
      source: a workdir, or one checkpoint already, such as WORKDIR/checkpoints/4000.
      prefer: of a workdir "best" (the last where none has a score) or "last".
    """
    if prefer not in ("best", "last"):
        raise ValueError(f"prefer is {prefer!r}: it must be 'best' or 'last'")
    source = pathlib.Path(source).absolute()
    if (source / "state").is_dir():
        return source
    root = source / FOLDER
    steps = sorted(int(path.name) for path in root.glob("*") if path.name.isdigit())
    if not steps:
        raise FileNotFoundError(
            f"no checkpoint in {source}: looked for {root}/STEP; give the --workdir of a training "
            "run or one of the checkpoints in it"
        )
    best = _read_best(source)
    if prefer == "best" and best and best["step"] in steps:
        return root / str(best["step"])
    return root / str(steps[-1])


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


def _read_best(workdir: pathlib.Path) -> dict[str, Any] | None:
    path = workdir / BEST
    return json.loads(path.read_text()) if path.exists() else None


def _shapes_of(part: str, state: Any) -> list[tuple[int, ...]]:
    tree = state.get(part) if isinstance(state, dict) else getattr(state, part)
    return [tuple(leaf.shape) for leaf in jax.tree.leaves(tree)]


class _LastAndBest:
    """Orbax's question which checkpoints stay."""

    def __init__(self, owner: Checkpoints):
        self._owner = owner

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        return [step in (max(steps), self._owner.best_step) for step in steps]


class _Position:
    """A data position in the form that orbax saves and loads."""

    def __init__(self, data: DataPosition):
        self._data = data

    async def save(self, directory):
        text = json.dumps(self._data.get_state())

        async def write():
            folder = await directory.await_creation()
            (folder / "position.json").write_text(text)

        return write()

    async def load(self, directory):
        async def read():
            self._data.set_state(json.loads((directory / "position.json").read_text()))

        return read()
