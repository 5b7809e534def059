"""Where numbers go: lines on stdout, metrics.jsonl and TensorBoard, all with the same ones."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Mapping

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.commands import message
from sor_jax.distributed.hosts import duration
from sor_jax.files import read_records, write_whole
from sor_jax.train.meter import EXAMPLES, RECORDS, SKIPPED

FILE = "metrics.jsonl"
LEFT_OUT = "data/records_left_out"
_TOLD = (
    (SKIPPED, "steps skipped"),
    (RECORDS, "times a damaged record skipped"),
    (LEFT_OUT, "records left out when they were prepared"),
)


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
        self.records = [
            record for record in read_records(path, "step") if record["step"] <= start_step
        ]
        write_whole(path, "".join(_line(record) for record in self.records))
        self._path, self._file, self._failed = path, path.open("a"), False
        self._tensorboard = TensorBoard(workdir / "tensorboard", purge_step=start_step + 1)

    def write(self, step: int, values: Mapping[str, float | int | None]) -> None:
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
                    self._tensorboard.scalar(step, name, value)
            self._tensorboard.flush()
        except OSError as error:
            self._failed = True
            raise OSError(
                f"{self._path} or tensorboard/ beside it cannot be written: {message(error)}. The "
                "last checkpoint is intact; make room and give the same command again"
            ) from None
        self.records.append(record)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Puts a picture u8[H, W, 3] on TensorBoard."""
        self._tensorboard.image(step, name, picture)

    def has(self, step: int, prefix: str) -> bool:
        """Whether a record of this step holds a name that starts with `prefix`."""
        return any(
            record["step"] == step and any(name.startswith(prefix) for name in record)
            for record in self.records
        )

    def close(self) -> None:
        """Closes both files."""
        for file in (self._file, self._tensorboard):
            # What could not be written was said by `write`.
            with contextlib.suppress(OSError) if self._failed else contextlib.nullcontext():
                file.close()


class NoLog:
    """In the place of a MetricsLog in all processes of a run but one."""

    def write(self, step: int, values: Mapping[str, float | int | None]) -> None:
        """Does nothing."""

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Does nothing."""

    def has(self, step: int, prefix: str) -> bool:
        """False."""
        return False

    def close(self) -> None:
        """Does nothing."""


class TensorBoard:
    """Numbers and pictures of one run for TensorBoard, written at once.

    tensorboardX's SummaryWriter writes in a thread of its own, where a full disk goes unnoticed and
    its `flush` waits for ever; so this uses the writer beneath it.

    Args:
      folder: made where it is missing; every start adds a file.
      purge_step: what an earlier start wrote of this step and of later ones is dropped.
    """

    def __init__(self, folder: pathlib.Path, *, purge_step: int):
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f".{os.getpid()}.{time.time_ns()}"  # the name has the second alone
        self._writer = EventsWriter(str(folder / "events"), suffix)
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=purge_step, session_log=start))

    def scalar(self, step: int, name: str, value: float) -> None:
        """Adds a number."""
        self._write(event_pb2.Event(step=step, summary=summary.scalar(name, value)))

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Adds a picture u8[H, W, 3]."""
        drawn = summary.image(name, picture, dataformats="HWC")
        self._write(event_pb2.Event(step=step, summary=drawn))

    def flush(self) -> None:
        """Returns when everything is on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _write(self, event):
        event.wall_time = time.time()
        self._writer.write_event(event)


def training_line(step: int, steps: int, values: dict[str, float]) -> str:
    """One line of training: step, losses, learning rate, images seen, speed, input wait, time left.

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
    parts.append(f"lr {values['learning_rate']:.2e}")
    if EXAMPLES in values:
        parts.append(f"{values[EXAMPLES]:,} images seen")
    if "images_per_second" in values:
        parts.append(f"{values['images_per_second']:.1f} images/s")
        parts.append(f"input wait {values['input_wait']:.0%}")
        left = values["seconds_left"]
        end = time.strftime("%a %H:%M", time.localtime(time.time() + left))
        parts.append(f"{duration(left)} left, until {end}")
    return " | ".join(parts)


def closing_lines(
    done: int, steps: int, checkpoints: Checkpoints, totals: Mapping[str, float], metric: str
) -> str:
    """How far it got, what was left out, where the state is and how to go on.

    Args:
      done: steps done of `steps`.
      checkpoints: of the workdir.
      totals: counts since the first step, under the log's names.
      metric: config.eval.best_metric, "" where no checkpoint is chosen by one.
    """
    last = checkpoints.last_step
    saved = f"saved in {checkpoints.folder(last)}" if last else "nothing to save yet"
    if done < steps:
        ending = f"stopped after step {done} of {steps}, {saved}"
        after = "the same command goes on from there"
    else:
        ending = f"all {steps} steps are done, {saved}"
        best = checkpoints.best_step
        after = f"best by {metric}: {f'step {best}' if best else 'none'}" if metric else ""
    counted = [f"{totals.get(EXAMPLES, 0):,} images seen"]
    counted += [f"{totals[name]} {what}" for name, what in _TOLD if totals.get(name)]
    return f"{ending}\n{', '.join(counted)}{'; ' if after else ''}{after}"


def _line(record: dict) -> str:
    return json.dumps(record, allow_nan=False) + "\n"
