"""The training iterator: batches of a Grain data set, and a position that can be saved."""

import atexit
import functools
import time

import grain
from absl import flags

from sor_jax.inputs.worker import (
    check_shared_memory,
    describe_death,
    prepare_worker,
    start_tracker,
)

_AHEAD = 2  # batches that a thread or a worker reads ahead; a batch is several megabytes


class TrainIterator(grain.DatasetIterator):
    """Iterates over batches that depend on their index alone, read ahead by workers.

    The state is the number of batches taken, {"next_index": int}: it does not depend on the number
    of workers and what they had read ahead. Orbax saves and loads the iterator itself, too.
    """

    def __init__(self, batches: grain.MapDataset, *, num_workers: int, batch_bytes: int = 0):
        super().__init__()
        if num_workers:
            check_shared_memory(num_workers, (num_workers * (_AHEAD + 1) + 1) * batch_bytes)
        self._batches, self._num_workers = batches, num_workers
        self._next_index = 0
        self._reading: grain.DatasetIterator | None = None

    def __next__(self) -> dict:
        self._assert_not_closed()
        if self._reading is None:
            self._reading = self._read_from(self._next_index)
        try:
            batch = next(self._reading)
        except RuntimeError as error:
            raise describe_death(error) from error
        self._next_index += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """The position: what `set_state` needs to continue with the next batch."""
        return {"next_index": self._next_index}

    def set_state(self, state: dict[str, int]) -> None:
        """Continues from a position that `get_state` gave, here or in another process."""
        self._stop()
        self._next_index = int(state["next_index"])

    def start_prefetch(self) -> None:
        """Begins to read before the first batch is asked for."""
        if self._reading is None:
            self._reading = self._read_from(self._next_index)
        self._reading.start_prefetch()

    def close(self) -> None:
        """Ends the workers. The iterator cannot be used after."""
        self._stop()
        super().close()

    def _stop(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _read_from(self, index: int) -> grain.DatasetIterator:
        batches = self._batches[index:] if index else self._batches
        if not self._num_workers:
            thread = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_AHEAD)
            return iter(batches.to_iter_dataset(thread))
        _let_grain_read_flags()
        inside = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        workers = grain.MultiprocessingOptions(self._num_workers, per_worker_buffer_size=_AHEAD)
        _wait_at_exit()
        start_tracker()
        return iter(batches.to_iter_dataset(inside).mp_prefetch(workers, prepare_worker))


def _let_grain_read_flags() -> None:
    """Grain's workers take over absl flags, which nobody parses in a notebook or under pytest."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


@functools.cache
def _wait_at_exit() -> None:
    """Grain frees shared memory in a thread; cut off by the exit, Python would warn of a leak."""
    atexit.register(time.sleep, 0.2)
