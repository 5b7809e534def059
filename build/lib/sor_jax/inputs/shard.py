"""What one of several processes reads of each batch."""

import dataclasses

import grain


@dataclasses.dataclass(frozen=True)
class Shard:
    """Rows start .. stop - 1 of a batch that is completed with empty images behind its last row."""

    start: int
    stop: int

    def __len__(self):
        return self.stop - self.start


def shard_of(
    batch_size: int,
    *,
    num_devices: int,
    parts: int = 1,
    process_index: int = 0,
    process_count: int = 1,
) -> Shard:
    """The rows that lie on a process's devices, when the batch is spread evenly over all devices.

    A batch is completed until it divides by the devices and, on each, by `parts`. `num_devices`
    counts those of all processes, each of which has the same number.
    """
    rows_per_device = -(-batch_size // (num_devices * parts)) * parts
    rows = rows_per_device * num_devices // process_count
    return Shard(process_index * rows, (process_index + 1) * rows)


class Sharded(grain.MapDataset):
    """The images of one shard of every batch.

    Args:
      images: of all batches, one behind the other.
      batch_size: of them without what completes them.
      shard: the rows.
      filler: the empty image.
    """

    def __init__(self, images: grain.MapDataset, batch_size: int, shard: Shard, filler: dict):
        super().__init__(images)
        self._batch_size, self._shard, self._filler = batch_size, shard, filler

    def __len__(self):
        return len(self._parent) // self._batch_size * len(self._shard)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.slice(index)
        batch, row = divmod(index, len(self._shard))
        row += self._shard.start
        if row >= self._batch_size:
            return self._filler
        return self._parent[batch * self._batch_size + row]
