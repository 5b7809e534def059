"""Synchronous data parallelism: the batch is split over the devices, all else is replicated."""

import jax
import numpy as np
from absl import logging
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sor_jax.structures import Batch, Boxes, GroundTruth, Polygons


def make_mesh(batch_size: int, devices=None) -> Mesh:
    """A 1-D mesh "data" over all local devices, or over as many as divide the batch.

    A batch that the devices do not divide leaves some of them idle; a warning says so.
    """
    devices = list(devices or jax.local_devices())
    used = next(n for n in range(len(devices), 0, -1) if batch_size % n == 0)
    if used < len(devices):
        logging.warning(
            "batch_size %d is not a multiple of the %d devices: only %d work; "
            "take a multiple of %d to use them all",
            batch_size,
            len(devices),
            used,
            len(devices),
        )
    return jax.make_mesh((used,), ("data",), axis_types=(AxisType.Auto,), devices=devices[:used])


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of the state and of scalars: a copy on every device."""
    return NamedSharding(mesh, P())


def split(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: its first axis over the devices."""
    return NamedSharding(mesh, P("data"))


def put(batch: dict[str, np.ndarray], mesh: Mesh) -> Batch:
    """A loader's numpy batch as a Batch on the devices, split over them.

    Keys that a Batch has no place for, such as the loader's counts, stay behind.
    """
    ground_truth = GroundTruth(
        boxes=Boxes(xyxy=batch["gt_boxes"], valid=batch["gt_valid"]),
        rank_class=batch["gt_rank_class"],
        masks=batch["gt_masks"],
        polygons=Polygons(
            edges=batch["gt_edges"], part=batch["gt_edge_part"], valid=batch["gt_edge_valid"]
        ),
    )
    nouns = Batch(
        image=batch["image"], image_hw=batch["image_hw"], gt=ground_truth, valid=batch["valid"]
    )
    return jax.device_put(nouns, split(mesh))
