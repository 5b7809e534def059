"""Damaged records that a run goes on without: each is told, and an empty image takes its place.

So the order of all other records stays what it is, on any number of workers and processes.
"""

import dataclasses

import numpy as np
from absl import logging

from sor_jax.datasets.record import Record
from sor_jax.inputs.pad import empty_image, pad_record

CHOICES = ("raise", "skip")
_LONGEST = 300  # bytes of a reason, a fixed size as all that is batched


@dataclasses.dataclass(frozen=True)
class Damaged:
    """What a Tolerant source has in place of a record that cannot be read."""

    reason: str


class Tolerant:
    """A source whose damaged records come as Damaged instead of raising."""

    def __init__(self, source):
        self._source = source

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index) -> Record | Damaged:
        try:
            return self._source[index]
        except ValueError as error:
            return Damaged(str(error))

    def rank_order(self, index):
        """f32[n] rank values of the objects of one record."""
        return self._source.rank_order(index)

    def __repr__(self):
        return repr(self._source)


def pad_or_skip(
    record: Record | Damaged, *, flip: bool = False, targets: str = "ranked", view=None, **size
) -> dict[str, np.ndarray]:
    """As pad_record, with "damage", bytes: why the record is missing, b"" where it is not."""
    if isinstance(record, Damaged):
        padded, reason = empty_image(**size), record.reason.encode()[:_LONGEST]
    else:
        padded = pad_record(record, flip=flip, targets=targets, view=view, **size)
        reason = b""
    return padded | {"damage": np.array(reason, f"S{_LONGEST}")}


def reasons(batch: dict[str, np.ndarray]) -> list[str]:
    """Why records of a training batch are missing."""
    return [reason.decode(errors="replace") for reason in batch.get("damage", ()) if reason]


def without_damaged(
    records: list[Record | Damaged], left_out: list[str] | None = None
) -> list[Record]:
    """The records that could be read; a warning tells of each of the others, `left_out` why."""
    for record in records:
        if isinstance(record, Damaged):
            logging.warning("left out: %s", record.reason)
            if left_out is not None:
                left_out.append(record.reason)
    return [record for record in records if not isinstance(record, Damaged)]


def check_on_error(on_error: str) -> str:
    """The choice, if it is one."""
    if on_error not in CHOICES:
        raise ValueError(f"config.data.on_error is {on_error!r}; expected 'raise' or 'skip'")
    return on_error
