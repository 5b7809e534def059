"""One record -> one image of a batch: fitted, padded, with the objects that are ground truth."""

import numpy as np

from sor_jax.datasets.record import NO_RANK, Record, decode_masks, rank_classes, target_indices
from sor_jax.inputs import transforms
from sor_jax.inputs.outline import edges_of


def pad_record(
    record: Record,
    *,
    canvas_hw: tuple[int, int],
    max_objects: int,
    max_edges: int = 0,
    flip: bool = False,
    targets: str = "ranked",
) -> dict[str, np.ndarray]:
    """The arrays of sor_jax.inputs.loader without their batch axis.

    Ground truth are the objects of `target_indices`; of more than `max_objects` of them the first
    (the most salient) are kept. Left out, and counted, are also objects whose box is empty once it
    is cut to the photograph. An object whose polygons have more edges than `max_edges` is given by
    its mask alone.
    """
    photo_hw = record.image.shape[:2]
    hw = transforms.fitted_hw(photo_hw, canvas_hw)
    boxes = transforms.resize_boxes(record.boxes, photo_hw, hw)
    wanted = target_indices(record, targets)
    kept = wanted[(boxes[wanted, 2:] > boxes[wanted, :2]).all(axis=1)][:max_objects]
    masks = decode_masks([record.masks[index] for index in kept], photo_hw)
    masks = transforms.resize_masks(masks, hw)
    image = transforms.resize_image(record.image, hw)
    boxes = boxes[kept]
    if flip:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
        boxes = transforms.flip_boxes(boxes, hw[1])
    padded = empty_image(canvas_hw=canvas_hw, max_objects=max_objects, max_edges=max_edges)
    padded["image"][: hw[0], : hw[1]] = image
    padded["valid_hw"][:] = hw
    padded["valid"][()] = True
    padded["gt_boxes"][: len(kept)] = boxes
    padded["gt_valid"][: len(kept)] = True
    padded["gt_rank_class"][: len(kept)] = rank_classes(record.rank_order[kept])
    padded["gt_masks"][: len(kept), : hw[0], : hw[1]] = masks
    padded["objects_left_out"][()] = len(wanted) - len(kept)
    for slot, index in enumerate(kept):
        parts = [transforms.resize_points(p, photo_hw, hw) for p in record.polygons[index]]
        parts = [transforms.flip_points(p, hw[1]) for p in parts] if flip else parts
        _write_outline(padded, slot, *edges_of(parts))
    return padded


def _write_outline(padded, slot, edges, part):
    if len(edges) <= padded["gt_edges"].shape[1]:
        padded["gt_edges"][slot, : len(edges)] = edges
        padded["gt_edge_part"][slot, : len(edges)] = part
        padded["gt_edge_valid"][slot, : len(edges)] = True


def empty_image(
    *, canvas_hw: tuple[int, int], max_objects: int, max_edges: int = 0
) -> dict[str, np.ndarray]:
    """A filler: no object, not valid, its black photograph as large as the input."""
    return {
        "image": np.zeros((*canvas_hw, 3), np.uint8),
        "valid_hw": np.array(canvas_hw, np.int32),
        "valid": np.array(False),
        "gt_boxes": np.zeros((max_objects, 4), np.float32),
        "gt_valid": np.zeros(max_objects, bool),
        "gt_rank_class": np.full(max_objects, NO_RANK, np.int32),
        "gt_masks": np.zeros((max_objects, *canvas_hw), np.uint8),
        "gt_edges": np.zeros((max_objects, max_edges, 4), np.float32),
        "gt_edge_part": np.zeros((max_objects, max_edges), np.int32),
        "gt_edge_valid": np.zeros((max_objects, max_edges), bool),
        "objects_left_out": np.array(0, np.int32),
    }
