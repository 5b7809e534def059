"""Where numbers go: a line on stdout, metrics.jsonl and TensorBoard, all with the same ones."""

import contextlib
import json
import os
import pathlib
import time

import numpy as np

from sor_jax.distributed.hosts import duration
from sor_jax.files import write_whole
from sor_jax.train.board import Board
from sor_jax.train.meter import EXAMPLES

FILE = "metrics.jsonl"


class MetricsLog:
    """The records of one workdir: {"step": int, NAME: number or null, ..}, one a line.

    Args:
      workdir: holds metrics.jsonl and tensorboard/.
      start_step: records of later steps, of a run that got further than its last checkpoint, are
        removed, so that no step is there twice.
    """

    def __init__(self, workdir: str | os.PathLike, *, start_step: int):
        workdir = pathlib.Path(workdir)
        path = workdir / FILE
        self.records = [record for record in read_records(path) if record["step"] <= start_step]
        write_whole(path, "".join(_line(record) for record in self.records))
        self._path, self._file, self._failed = path, path.open("a"), False
        self._board = Board(workdir / "tensorboard", purge_step=start_step + 1)

    def write(self, step: int, values: dict[str, float | int | None]) -> None:
        """Appends a record and puts its numbers on TensorBoard; None is null and shows nowhere.

        Returns when both are on the disk, so that a checkpoint that is saved later never knows of
        a step that they do not.
        """
        record = {"step": step, **values}
        line = _line(record)
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
            for name, value in values.items():
                if value is not None:
                    self._board.scalar(step, name, value)
            self._board.flush()
        except OSError as error:
            self._failed = True
            raise OSError(
                f"{self._path} or tensorboard/ beside it cannot be written: {error}. The last "
                "checkpoint is intact; make room and give the same command again"
            ) from None
        self.records.append(record)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Puts a picture u8[H, W, 3] on TensorBoard."""
        self._board.image(step, name, picture)

    def has(self, step: int, prefix: str) -> bool:
        """Whether a record of this step holds a name that starts with `prefix`."""
        return any(
            record["step"] == step and any(name.startswith(prefix) for name in record)
            for record in self.records
        )

    def close(self) -> None:
        """Closes both files."""
        for file in (self._file, self._board):
            # What could not be written was said by `write`.
            with contextlib.suppress(OSError) if self._failed else contextlib.nullcontext():
                file.close()


class NoLog:
    """In the place of a MetricsLog in all processes of a run but one."""

    def write(self, step: int, values: dict[str, float | int | None]) -> None:
        """Does nothing."""

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Does nothing."""

    def has(self, step: int, prefix: str) -> bool:
        """False."""
        return False

    def close(self) -> None:
        """Does nothing."""


def read_records(path: str | os.PathLike) -> list[dict]:
    """The records of a metrics.jsonl, none where it is missing; a last line cut off is dropped."""
    path = pathlib.Path(path)
    lines = path.read_text().split("\n") if path.exists() else []
    if lines:
        lines.pop()  # what follows the last line's end: nothing, or a line cut short
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(
                f"{path}, line {number} is not JSON ({error}): repair or remove the line"
            ) from None
    return records


def training_line(step: int, steps: int, values: dict[str, float]) -> str:
    """One line of training: step, losses, rate, images seen, speed, wait for input, time left.

    Args:
      step: steps done of `steps`.
      values: a record of training; "loss/NAME" is shown as NAME, the total first.
    """
    losses = {name[5:]: value for name, value in values.items() if name.startswith("loss/")}
    parts = [f"step {step}/{steps}"]
    if losses:
        losses = {"total": losses.pop("total"), **losses}
        parts.append("loss " + "  ".join(f"{name} {value:.4f}" for name, value in losses.items()))
    else:
        parts.append("every step skipped")
    parts.append(f"rate {values['rate']:.2e}")
    if EXAMPLES in values:
        parts.append(f"{values[EXAMPLES]:,} images seen")
    if "images_per_second" in values:
        parts.append(f"{values['images_per_second']:.1f} images/s")
        parts.append(f"input wait {values['input_wait']:.0%}")
        left = values["seconds_left"]
        end = time.strftime("%a %H:%M", time.localtime(time.time() + left))
        parts.append(f"{duration(left)} left, until {end}")
    return " | ".join(parts)


def _line(record: dict) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
