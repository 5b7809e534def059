"""One process of a run of several: `python -m tests.distributed.host WORKDIR ..`."""

import sys

import jax
import numpy as np

from sor_jax.distributed import cluster
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.shard import shard_of
from sor_jax.train.loop import fit
from tests.inputs.fakes import FakeSource
from tests.train import kills, toy


def eval_batches(batch_size):
    """The toy's photographs, of which each process takes its turns."""
    index, count = jax.process_index(), jax.process_count()
    for batch, records in toy.eval_batches(1, images=5):
        if int(records[0].image_id.split("/")[1]) % count == index:
            yield (
                {name: rows.repeat(batch_size, 0) for name, rows in batch.items()}
                | {"valid": batch["valid"].repeat(batch_size, 0) & (np.arange(batch_size) == 0)},
                records,
            )


def main():
    workdir, *rest = sys.argv[1:]
    if rest:
        cluster.join(rest[0], int(rest[1]), int(rest[2]))
    shard = shard_of(
        5,  # completed to 6 on two devices
        num_devices=jax.device_count(),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    batches = train_iterator(
        FakeSource(11, unranked=(3,), broken=(5,)),
        canvas_hw=kills.HW,
        batch_size=5,
        max_objects=toy.OBJECTS,
        seed=3,
        flip=True,
        on_error="skip",
        shard=shard,
    )
    config = toy.config(batch_size=5, steps=8, checkpoint_every=3, eval_every=4)
    with cluster.ends_with_error():
        parts = {"train_batches": batches, "eval_batches": eval_batches}
        fit(toy.experiment(**parts), config, workdir)


if __name__ == "__main__":
    main()
