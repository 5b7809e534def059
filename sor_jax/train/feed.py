"""Feeds the loop: training batches on the devices, with what is counted of them."""

import time
from typing import NamedTuple

import jax
from jax.sharding import Mesh

from sor_jax.commands import tell
from sor_jax.distributed.hosts import Sum
from sor_jax.distributed.sharding import put
from sor_jax.inputs.damage import reasons
from sor_jax.structures import Batch
from sor_jax.train.meter import EXAMPLES, RECORDS


class FedBatch(NamedTuple):
    """One batch."""

    batch: Batch
    counts: dict[str, jax.Array | float]  # of all processes
    stop: jax.Array | float  # how many processes were asked to stop before they took it
    waited: float  # seconds


class BatchFeed:
    """Puts an iterator's batches on the devices and sums their counts over all processes.

    Args:
      batches: of this process, numpy.
      mesh: what they are spread over.
    """

    def __init__(self, batches, mesh: Mesh):
        self._batches, self._mesh, self._sum = batches, mesh, Sum(mesh)
        self._told: set[str] = set()

    def next(self, stop: bool) -> FedBatch:
        """The next batch; `stop`, whether this process was asked to stop, reaches all of them."""
        asked = time.perf_counter()
        batch = next(self._batches)
        waited = time.perf_counter() - asked
        counts = {
            EXAMPLES: float(batch["valid"].sum()),
            "data/objects_left_out": float(batch["objects_left_out"].sum()),
            "stop": float(stop),
        }
        if "damage" in batch:
            counts[RECORDS] = float(self._tell_damage(batch))
        summed = dict(self._sum(counts))
        stopping = summed.pop("stop")
        return FedBatch(put(batch, self._mesh), summed, stopping, waited)

    def _tell_damage(self, batch: dict) -> int:
        found = reasons(batch)
        for reason in sorted(set(found) - self._told):
            tell(f"left out: {reason}")
        self._told |= set(found)
        return len(found)
