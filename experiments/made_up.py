"""Made-up inputs that cost what photographs cost: numpy only."""

import numpy as np

# Sides in parts of the photograph's: quantiles of the 1,300 ranked objects of PASCAL-S, train.
_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_SIDES = (0.03, 0.08, 0.2, 0.38, 0.62, 0.93, 1.0)
_CORNERS = 24  # of a polygon


def made_up_batch(batch_size: int, canvas_hw, max_objects: int, max_edges: int) -> dict:
    """A loader's batch of coarse noise, each image with 1 to `max_objects` ellipses on it.

    Their boxes are as large as those of ranked objects in photographs.
    """
    rng = np.random.default_rng(0)
    size = np.array(canvas_hw[::-1], np.float32)
    y, x = np.mgrid[: canvas_hw[0], : canvas_hw[1]] + 0.5
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    shape = (batch_size, max_objects)
    batch = {
        "image": rng.integers(0, 160, (batch_size, *(n // 16 for n in canvas_hw), 3), np.uint8)
        .repeat(16, 1)
        .repeat(16, 2),
        "valid_hw": np.tile(np.array(canvas_hw, np.int32), (batch_size, 1)),
        "valid": np.ones(batch_size, bool),
        "gt_boxes": np.zeros((*shape, 4), np.float32),
        "gt_valid": np.arange(max_objects) < rng.integers(1, max_objects + 1, (batch_size, 1)),
        "gt_rank_class": np.tile(4 - np.arange(max_objects, dtype=np.int32), (batch_size, 1)),
        "gt_masks": np.zeros((*shape, *canvas_hw), np.uint8),
        "gt_edges": np.zeros((*shape, max_edges, 4), np.float32),
        "gt_edge_part": np.zeros((*shape, max_edges), np.int32),
        "gt_edge_valid": np.zeros((*shape, max_edges), bool),
    }
    batch["gt_has_mask"] = batch["gt_valid"].copy()
    for spot in zip(*np.nonzero(batch["gt_valid"]), strict=True):
        half = np.interp(rng.random(2), _SHARES, _SIDES) * size / 2
        centre = half + rng.random(2) * (size - 2 * half)
        batch["gt_boxes"][spot] = *(centre - half), *(centre + half)
        inside = ((x - centre[0]) / half[0]) ** 2 + ((y - centre[1]) / half[1]) ** 2 <= 1
        batch["gt_masks"][spot] = inside
        batch["image"][spot[0]][inside] += np.uint8(rng.integers(30, 90))
        if max_edges < _CORNERS:
            continue  # known by its mask alone
        corners = centre + half * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        edges = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
        batch["gt_edges"][spot][:_CORNERS] = edges
        batch["gt_edge_valid"][spot][:_CORNERS] = True
    return batch


def jittered(xyxy: np.ndarray, valid: np.ndarray, count: int) -> np.ndarray:
    """f32[B, count, 4]: copies of an image's valid boxes in turn, moved by up to 8 % of a side.

    Stands for a trained detector's proposals: what the heads cost depends on how many regions they
    see, and an untrained detector finds next to none. Each image [B, M, 4] has a valid box.
    """
    rng = np.random.default_rng(0)
    copies = np.zeros((len(xyxy), count, 4), np.float32)
    for image, (real, is_real) in enumerate(zip(xyxy, valid, strict=True)):
        chosen = np.resize(real[is_real], (count, 4))
        side = np.tile(chosen[:, 2:] - chosen[:, :2], 2)
        copies[image] = chosen + rng.uniform(-0.08, 0.08, (count, 4)) * side
    return copies
