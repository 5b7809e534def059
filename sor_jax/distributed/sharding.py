"""Synchronous data parallelism: the batch is split over the devices, all else is replicated."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sor_jax.structures import Batch, Boxes, GroundTruth, Images, Polygons


def make_mesh(devices=None) -> Mesh:
    """A 1-D mesh "data" over these devices, or over all of all processes.

    A batch has to divide by them; sor_jax.inputs completes one that does not.
    """
    devices = list(devices or jax.devices())
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of the state and of scalars: a copy on every device."""
    return NamedSharding(mesh, P())


def split(mesh: Mesh) -> NamedSharding:
    """The sharding of a batch: its first axis over the devices."""
    return NamedSharding(mesh, P("data"))


def put(batch: dict[str, np.ndarray], mesh: Mesh) -> Batch:
    """A loader's numpy batch as a Batch on the devices, split over them.

    Where the mesh has devices of several processes, each of them gives the rows of its own. Keys
    that a Batch has no place for, such as the loader's counts, stay behind.
    """
    images = put_images(batch, mesh)
    gt = {name: spread(rows, mesh) for name, rows in batch.items() if name.startswith("gt_")}
    ground_truth = GroundTruth(
        boxes=Boxes(xyxy=gt["gt_boxes"], valid=gt["gt_valid"]),
        rank_class=gt["gt_rank_class"],
        masks=gt["gt_masks"],
        has_mask=gt.get("gt_has_mask"),
        polygons=Polygons(gt["gt_edges"], gt["gt_edge_part"], gt["gt_edge_valid"]),
    )
    return Batch(images.image, images.valid_hw, images.valid, ground_truth)


def put_images(batch: dict[str, np.ndarray], mesh: Mesh) -> Images:
    """As `put`, without the ground truth, whether the batch has one or not."""
    return Images(*(spread(batch[name], mesh) for name in ("image", "valid_hw", "valid")))


def spread(rows: np.ndarray, mesh: Mesh) -> jax.Array:
    """Rows of this process's devices as part of one array over all of the mesh."""
    if mesh.is_multi_process:
        return jax.make_array_from_process_local_data(split(mesh), np.asarray(rows))
    return jax.device_put(rows, split(mesh))


def make_predict(
    predict: Callable[[Any, Images], Any], mesh: Mesh, *, put=put_images
) -> Callable[[Any, dict[str, np.ndarray]], Any]:
    """Compiles `predict` into (variables, numpy batch) -> its output as numpy.

    The number of images must be a multiple of the mesh's devices. `put` brings a numpy batch to
    the devices: `put_images` the images alone, `put` the ground truth, too.
    """
    compiled = jax.jit(
        predict, in_shardings=(replicated(mesh), split(mesh)), out_shardings=split(mesh)
    )

    def predict_numpy(variables, batch):
        return jax.device_get(compiled(variables, put(batch, mesh)))

    return predict_numpy
