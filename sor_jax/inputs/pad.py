"""One record -> one image of a batch: fitted, padded, with the objects that are ground truth."""

import numpy as np

from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.record import NO_RANK, Record, target_indices
from sor_jax.inputs import transforms
from sor_jax.inputs.augment import View, bounds, is_enough, visible, whole_view


def pad_image(photograph: np.ndarray, *, canvas_hw: tuple[int, int]) -> dict[str, np.ndarray]:
    """The image arrays of sor_jax.inputs.loader without their batch axis, no ground truth.

    Takes u8[h, w, 3] RGB of any size. Stacked over photographs they are the fields of
    sor_jax.structures.Images.
    """
    hw = transforms.fitted_hw(photograph.shape[:2], canvas_hw)
    padded = empty_image(canvas_hw=canvas_hw)
    padded["image"][: hw[0], : hw[1]] = transforms.resize_image(photograph, hw)
    padded["valid_hw"][:] = hw
    padded["valid"][()] = True
    return padded


def pad_record(
    record: Record,
    *,
    canvas_hw: tuple[int, int],
    max_objects: int,
    max_edges: int = 0,
    flip: bool = False,
    targets: str = "ranked",
    view: View | None = None,
) -> dict[str, np.ndarray]:
    """The arrays of sor_jax.inputs.loader without their batch axis.

    Ground truth are the objects of `target_indices`; of more than `max_objects` of them the first
    (the most salient) are kept. Left out, and counted, are also objects whose box is empty once it
    is cut to the photograph. An object whose polygons have more edges than `max_edges` is given by
    its mask alone.

    `view` is what is seen of the photograph, None for all of it. An object that it cuts keeps the
    mask and the box of what is left, one of which too little is left is background, and the ranks
    of the others close up.
    """
    photo_hw = record.image.shape[:2]
    seen_view = view or whole_view(photo_hw, canvas_hw)
    resized_hw, top, left, hw = seen_view
    boxes = transforms.resize_boxes(record.boxes, photo_hw, resized_hw)
    wanted = target_indices(record, targets)
    kept = wanted[(boxes[wanted, 2:] > boxes[wanted, :2]).all(axis=1)]
    kept = kept if view else kept[:max_objects]
    masks = decode_masks([record.masks[index] for index in kept], photo_hw)
    masks = transforms.resize_masks(masks, resized_hw)
    image = transforms.resize_image(record.image, resized_hw)
    boxes, classes, has_mask = boxes[kept], record.rank_class[kept], record.has_mask[kept]
    is_cut = np.zeros(len(kept), bool)
    if view:
        image = image[top : top + hw[0], left : left + hw[1]]
        seen, boxes, masks, is_cut = _cut(boxes, masks, has_mask, view)
        kept, classes, has_mask = kept[seen][:max_objects], classes[seen], has_mask[seen]
        ranked = classes != NO_RANK
        classes[ranked] = record.num_ranks - 1 - np.arange(ranked.sum())
        all_seen = boxes, masks, is_cut, classes, has_mask
        boxes, masks, is_cut, classes, has_mask = (x[: len(kept)] for x in all_seen)
    if flip:
        image, masks = image[:, ::-1], masks[:, :, ::-1]
        boxes = transforms.flip_boxes(boxes, hw[1])
    padded = empty_image(canvas_hw=canvas_hw, max_objects=max_objects, max_edges=max_edges)
    padded["image"][: hw[0], : hw[1]] = image
    padded["valid_hw"][:] = hw
    padded["valid"][()] = True
    padded["gt_boxes"][: len(kept)] = boxes
    padded["gt_valid"][: len(kept)] = True
    padded["gt_rank_class"][: len(kept)] = classes
    padded["gt_masks"][: len(kept), : hw[0], : hw[1]] = masks
    padded["gt_has_mask"][: len(kept)] = has_mask
    padded["objects_left_out"][()] = len(wanted) - len(kept)
    for slot in np.flatnonzero(~is_cut):
        outline = record.polygons[kept[slot]]
        _write_outline(padded, int(slot), _seen_outline(outline, photo_hw, seen_view, flip=flip))
    return padded


def _cut(boxes: np.ndarray, masks: np.ndarray, has_mask: np.ndarray, view: View):
    """Which objects a view shows, their boxes and masks in it, and which of them it cuts."""
    before = np.count_nonzero(masks, axis=(1, 2))
    masks = masks[:, view.top : view.top + view.hw[0], view.left : view.left + view.hw[1]]
    boxes = boxes - np.array([view.left, view.top] * 2, np.float32)
    inside = np.clip(boxes, 0, np.array([view.hw[1], view.hw[0]] * 2, np.float32))
    areas = [np.prod(np.maximum(one[:, 2:] - one[:, :2], 0), axis=1) for one in (inside, boxes)]
    seen = np.where(has_mask, visible(masks, before), is_enough(*areas))
    seen &= (inside[:, 2:] > inside[:, :2]).all(axis=1)
    is_cut = (inside != boxes).any(axis=1)[seen]
    boxes, masks = inside[seen], masks[seen]
    # The box of what is left of a mask; an object that is too small for one pixel is not cut.
    redraw = is_cut & masks.any(axis=(1, 2))
    boxes[redraw] = bounds(masks[redraw])
    return seen, boxes, masks, is_cut


def _seen_outline(
    polygons: list[np.ndarray], photo_hw: tuple[int, int], view: View, *, flip: bool
) -> list[np.ndarray]:
    """Polygons [n, 2] in the photograph's pixels -> in those of the view."""
    parts = [transforms.resize_points(part, photo_hw, view.resized_hw) for part in polygons]
    parts = [part - np.array([view.left, view.top], np.float32) for part in parts]
    return [transforms.flip_points(part, view.hw[1]) for part in parts] if flip else parts


def _write_outline(padded: dict[str, np.ndarray], slot: int, parts: list[np.ndarray]) -> None:
    """The edges of an object's parts; of more than there is room for none."""
    edges, part = transforms.edges_of(parts)
    if len(edges) <= padded["gt_edges"].shape[1]:
        padded["gt_edges"][slot, : len(edges)] = edges
        padded["gt_edge_part"][slot, : len(edges)] = part
        padded["gt_edge_valid"][slot, : len(edges)] = True


def empty_image(
    *, canvas_hw: tuple[int, int], max_objects: int | None = None, max_edges: int = 0
) -> dict[str, np.ndarray]:
    """A filler: no object, not valid, its black photograph as large as the input.

    Without `max_objects` it has no ground truth.
    """
    images: dict[str, np.ndarray] = {
        "image": np.zeros((*canvas_hw, 3), np.uint8),
        "valid_hw": np.array(canvas_hw, np.int32),
        "valid": np.array(False),
    }
    if max_objects is None:
        return images
    return images | {
        "gt_boxes": np.zeros((max_objects, 4), np.float32),
        "gt_valid": np.zeros(max_objects, bool),
        "gt_rank_class": np.full(max_objects, NO_RANK, np.int32),
        "gt_masks": np.zeros((max_objects, *canvas_hw), np.uint8),
        "gt_has_mask": np.zeros(max_objects, bool),
        "gt_edges": np.zeros((max_objects, max_edges, 4), np.float32),
        "gt_edge_part": np.zeros((max_objects, max_edges), np.int32),
        "gt_edge_valid": np.zeros((max_objects, max_edges), bool),
        "objects_left_out": np.array(0, np.int32),
    }
