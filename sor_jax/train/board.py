"""TensorBoard's file, written at once: a writer in a thread of its own would hide a full disk."""

import os
import pathlib
import time

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2


class Board:
    """Numbers and pictures of one run for TensorBoard.

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
