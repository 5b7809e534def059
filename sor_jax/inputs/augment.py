"""Random changes of training images; what is drawn comes from the generator of the image alone."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from sor_jax.datasets.masks import fill_boxes
from sor_jax.datasets.record import NO_RANK
from sor_jax.inputs.transforms import fitted_hw

LEAST_VISIBLE = 0.25  # an object of which less is left counts as lost
LEAST_PIXELS = 16


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image; by default nothing.

    Attributes:
      flip: half of the images are mirrored left to right.
      scale: (least, most) factor of the size that fills the canvas, log-uniform; () for none. A
        photograph that gets larger than the canvas is cropped at random.
      colour: brightness, contrast and saturation each change by a factor of 1 - colour to
        1 + colour; 0 for none.
      paste: the share of images that objects of an image without ranks are pasted into
        ("Simple Copy-Paste", Ghiasi et al., CVPR 2021); the order of such a scene is not known.
    """

    flip: bool = False
    scale: tuple[float, ...] = ()
    colour: float = 0.0
    paste: float = 0.0

    def __post_init__(self):
        is_range = len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1]
        if self.scale and not is_range:
            raise ValueError(
                f"config.data.scale is {self.scale}; expected (least, most) with 0 < least <= most"
            )
        for name in ("colour", "paste"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"config.data.{name} is {value}; expected 0 to 1")

    def __bool__(self):
        return bool(self.flip or self.scale or self.colour or self.paste)


class View(NamedTuple):
    """A photograph brought to `resized_hw`, of which a window is seen."""

    resized_hw: tuple[int, int]
    top: int
    left: int
    hw: tuple[int, int]


def whole_view(photo_hw: tuple[int, int], canvas_hw: tuple[int, int]) -> View:
    """All of the photograph, as large as the canvas takes it."""
    hw = fitted_hw(photo_hw, canvas_hw)
    return View(hw, 0, 0, hw)


def draw_view(rng: np.random.Generator, photo_hw, canvas_hw, scale: Sequence[float]) -> View:
    """A view at a random size, `scale` (least, most), and, where that exceeds the canvas, place."""
    factor = math.exp(rng.uniform(*np.log(scale)))
    resized = [max(int(side * factor + 0.5), 1) for side in fitted_hw(photo_hw, canvas_hw)]
    hw = [min(side, most) for side, most in zip(resized, canvas_hw, strict=True)]
    top, left = (int(rng.integers(a - b + 1)) for a, b in zip(resized, hw, strict=True))
    return View((resized[0], resized[1]), top, left, (hw[0], hw[1]))


def visible(masks: np.ndarray, before: np.ndarray) -> np.ndarray:
    """bool[n]: whether enough is left of objects, masks bool[n, h, w], that had `before` i[n]."""
    return is_enough(np.count_nonzero(masks, axis=(1, 2)), before)


def is_enough(area: np.ndarray, before: np.ndarray) -> np.ndarray:
    """bool[n]: whether so much area is left of objects that had `before`, in pixels."""
    return (area >= LEAST_VISIBLE * before) & (area >= np.minimum(LEAST_PIXELS, before))


def bounds(masks: np.ndarray) -> np.ndarray:
    """f32[n, 4]: the smallest boxes x0 y0 x1 y1 around masks bool[n, h, w] that are not empty."""
    columns, rows = np.asarray(masks.any(axis=1)), np.asarray(masks.any(axis=2))
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1 = columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    y1 = rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)


def jitter_colour(rng: np.random.Generator, image: np.ndarray, amount: float) -> np.ndarray:
    """u8[h, w, 3] -> the same with other brightness, contrast and saturation, in this order."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = kind(picture).enhance(rng.uniform(1 - amount, 1 + amount))
    return np.asarray(picture)


def paste_objects(host: dict, donor: dict) -> dict:
    """An image of pad_record with the objects of another pasted in, as many as it has room for.

    What lies behind them is hidden: masks lose those pixels, boxes are drawn in to what is left,
    and objects of which too little is left are gone. No object keeps a rank. The outlines of what
    changed are dropped, so that their masks alone say what they are. An object without a mask is
    not pasted; behind others it keeps its box.
    """
    inside = np.zeros(host["image"].shape[:2], bool)
    inside[: host["valid_hw"][0], : host["valid_hw"][1]] = True
    new = donor["gt_masks"][donor["gt_valid"] & donor["gt_has_mask"]].astype(bool)
    new_before = np.count_nonzero(new, axis=(1, 2))
    new &= inside
    room = int((~host["gt_valid"]).sum())
    new = new[visible(new, new_before)][:room]
    if not len(new):
        return host
    covered = new.any(axis=0)
    slots = np.flatnonzero(host["gt_valid"])
    has_mask = host["gt_has_mask"][slots]
    old = host["gt_masks"][slots].astype(bool)
    old[~has_mask] = fill_boxes(host["gt_boxes"][slots[~has_mask]], inside.shape)
    left = old & ~covered
    kept = visible(left, np.count_nonzero(old, axis=(1, 2)))
    changed = (old & covered).any(axis=(1, 2)) & has_mask
    left &= has_mask[:, None, None]

    slots = slots[kept]
    masks = np.concatenate([left[kept], new])
    boxes = np.concatenate([host["gt_boxes"][slots], bounds(new)])
    redrawn = np.flatnonzero(changed[kept])
    boxes[redrawn] = bounds(masks[redrawn])
    pasted = {key: np.zeros_like(host[key]) for key in host if key.startswith("gt_")}
    count = len(masks)
    pasted["gt_masks"][:count] = masks
    pasted["gt_boxes"][:count] = boxes
    pasted["gt_valid"][:count] = True
    pasted["gt_has_mask"][:count] = [*has_mask[kept], *[True] * len(new)]
    pasted["gt_rank_class"][:] = NO_RANK
    for slot, source in enumerate(slots):
        if slot not in redrawn:
            for key in ("gt_edges", "gt_edge_part", "gt_edge_valid"):
                pasted[key][slot] = host[key][source]
    image = np.where(covered[..., None], donor["image"], host["image"])
    return host | pasted | {"image": image}
