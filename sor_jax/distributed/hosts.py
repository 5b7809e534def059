"""What the processes of one run agree on; with a single process nothing is asked of anyone."""

import itertools
import pickle
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from sor_jax.commands import tell
from sor_jax.distributed.sharding import replicated, spread


def is_alone() -> bool:
    """Whether this process is the only one of its run."""
    return jax.process_count() == 1


def is_primary() -> bool:
    """Whether this process is the one that writes files and talks."""
    return jax.process_index() == 0


def say(text: str) -> None:
    """Prints a line, once for all processes."""
    if is_primary():
        tell(text)


def barrier(name: str) -> None:
    """Waits until every process has come to the place called `name`."""
    if not is_alone():
        multihost_utils.sync_global_devices(name)


def as_primary_says(value: bool) -> bool:
    """The primary's value, in every process."""
    if is_alone():
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.array(value)))


def from_all(value: Any) -> list[Any]:
    """Every process's value, anything that can be pickled, in the order of the processes."""
    if is_alone():
        return [value]
    encoded = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.array([len(encoded)]), tiled=True)
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(encoded)] = encoded
    rows = multihost_utils.process_allgather(padded)
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]


def taking_turns(items: list) -> list:
    """The items of all processes: the first of each, then the second of each, and so on.

    So records that were dealt out by `process_index::process_count` come back in their order.
    """
    nothing = object()
    rounds = itertools.zip_longest(*from_all(items), fillvalue=nothing)
    return [item for each in rounds for item in each if item is not nothing]


def local_copy(tree: Any, mesh: Mesh) -> Any:
    """Arrays that lie on the devices of all processes, as arrays on a mesh of this one's."""
    if is_alone():
        return tree
    return jax.device_put(jax.tree.map(lambda x: x.addressable_data(0), tree), replicated(mesh))


class Sum:
    """Sums of small numbers over the processes, on the devices until somebody fetches them.

    Args:
      mesh: over the devices of all processes.
    """

    def __init__(self, mesh: Mesh):
        self._mesh, self._rows = mesh, jax.local_device_count()
        self._add = jax.jit(
            lambda rows: jax.tree.map(lambda values: values.sum(), rows),
            out_shardings=replicated(mesh),
        )

    def __call__(self, numbers: dict[str, float]) -> Mapping[str, jax.Array | float]:
        """The sums under the same names; every process has to call, with the same names."""
        if is_alone():
            return numbers
        rows = {name: np.zeros(self._rows, np.float32) for name in numbers}
        for name, value in numbers.items():
            rows[name][0] = value
        return self._add({name: spread(values, self._mesh) for name, values in rows.items()})


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 3 min 20 s, 5 h 07 min, 2 d 3 h."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour} h"
    if hours:
        return f"{hours} h {minute:02d} min"
    return f"{minutes} min {second:02d} s" if minutes else f"{second} s"
