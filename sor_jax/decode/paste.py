"""Detections in network-input pixels -> boxes and masks over one photograph, on the host.

Photographs differ in size, so nothing here is compiled.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.structures import Detections

THRESHOLD = 0.5
_BROKEN = "the weights are broken, or too large for the config's train.dtype"


class PhotoDetections(NamedTuple):
    """The p detections of one photograph, at its own size, in falling box score."""

    photo_hw: tuple[int, int]
    xyxy: np.ndarray  # f64[p, 4] in pixels of the photograph, cut to it, never empty
    score: np.ndarray  # f32[p] box score, 0..1
    mask_score: np.ndarray  # f32[p] box score * predicted mask IoU
    mask_prob: np.ndarray  # f32[p, S, S] probabilities over the box
    rank_class: np.ndarray  # i32[p] K - 1 = most salient .. 0, NO_RANK = none
    rank_prob: np.ndarray  # f64[p, K] probability of each rank class, a row sums to 1

    def masks(self, which: Sequence[int] | np.ndarray) -> np.ndarray:
        """bool[n, h, w]: the masks of these n detections over the whole photograph."""
        masks = np.zeros((len(which), *self.photo_hw), bool)
        for mask, index in zip(masks, which, strict=True):
            crop = paste_crop(self.mask_prob[index], self.xyxy[index], self.photo_hw)
            crop.write_into(mask)
        return masks


class Crop(NamedTuple):
    """A mask within the rectangle of a photograph outside of which it is empty."""

    pixels: np.ndarray  # bool[h, w]
    top: int
    left: int

    def write_into(self, mask: np.ndarray) -> None:
        """Writes the rectangle into bool[H, W] of the photograph."""
        height, width = self.pixels.shape
        mask[self.top : self.top + height, self.left : self.left + width] = self.pixels

    def encode(self, photo_hw: tuple[int, int]) -> dict:
        """The COCO run-length encoding {"size", "counts": bytes} over the whole photograph."""
        size = [int(side) for side in photo_hw]
        # Runs go down the columns and on from one to the next: only these columns have an edge.
        band = np.zeros((self.pixels.shape[1], size[0]), bool)
        band[:, self.top : self.top + self.pixels.shape[0]] = self.pixels.T
        flat = np.concatenate([[False], band.reshape(-1), [False]])
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        edges += self.left * size[0]
        counts = np.diff(edges, prepend=0, append=size[0] * size[1])
        counts = counts if counts[-1] else counts[:-1]
        return coco_mask.frPyObjects({"size": size, "counts": counts.tolist()}, *size)


def paste(
    detections: Detections, slot: int, valid_hw: np.ndarray, photo_hw: tuple[int, int]
) -> PhotoDetections:
    """The detections of one image of a batch, moved to its photograph; empty boxes are dropped.

    Args:
      detections: numpy arrays [B, N, ..], boxes in network-input pixels.
      slot: the image's place in the batch.
      valid_hw: i[2], height and width of the resized photograph inside the network's input.
      photo_hw: height and width of the photograph itself.

    Raises:
      FloatingPointError: something that the network says of the image is not finite; an overflow
        may look as if nothing was found.
    """
    if not detections.finite[slot]:
        raise FloatingPointError(f"what the detector says is not finite: {_BROKEN}")
    kept = np.flatnonzero(detections.boxes.valid[slot])
    said = {
        "box": detections.boxes.xyxy,
        "score": detections.score,
        "mask score": detections.mask_score,
        "mask": detections.mask_prob,
        "rank": detections.rank_logit,
    }
    for name, values in said.items():
        if not np.isfinite(values[slot][kept]).all():
            raise FloatingPointError(f"a predicted {name} is not finite: {_BROKEN}")
    xyxy = _boxes_in_photograph(np.asarray(detections.boxes.xyxy[slot][kept]), valid_hw, photo_hw)
    is_real = (xyxy[:, 2:] > xyxy[:, :2]).all(axis=1)
    kept, xyxy = kept[is_real], xyxy[is_real]
    return PhotoDetections(
        photo_hw=(int(photo_hw[0]), int(photo_hw[1])),
        xyxy=xyxy,
        score=np.asarray(detections.score[slot][kept]),
        mask_score=np.asarray(detections.mask_score[slot][kept]),
        mask_prob=np.asarray(detections.mask_prob[slot][kept]),
        rank_class=np.asarray(detections.rank_class[slot][kept]),
        rank_prob=_softmax(np.asarray(detections.rank_logit[slot][kept])),
    )


def paste_mask(prob: np.ndarray, xyxy: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """bool[h, w]: as paste_crop, over the whole photograph."""
    mask = np.zeros(hw, bool)
    paste_crop(prob, xyxy, hw).write_into(mask)
    return mask


def paste_crop(prob: np.ndarray, xyxy: np.ndarray, hw: tuple[int, int]) -> Crop:
    """The pixels whose centre reads a probability >= THRESHOLD from the box's cells.

    Takes prob f32[S, S] over the box `xyxy`, in pixels of a photograph of (height, width) `hw` and
    cut to it. Cells are read bilinearly, those outside the box as 0. An empty box gives an empty
    mask.
    """
    x0, y0, x1, y1 = (float(v) for v in xyxy)
    if x1 <= x0 or y1 <= y0:
        return Crop(np.zeros((0, 0), bool), 0, 0)
    # Beyond the box a pixel reads less than half of a border cell.
    rows, columns = _pixels(y0, y1, hw[0]), _pixels(x0, x1, hw[1])
    # A product with a matrix of weights would do, but starts the threads of BLAS for every mask.
    cells = np.zeros(np.add(np.shape(prob), 2))
    cells[1:-1, 1:-1] = prob
    value = _read_rows(cells, rows, y0, y1)
    value = _read_rows(np.ascontiguousarray(value.T), columns, x0, x1).T
    return Crop(value >= THRESHOLD, rows.start, columns.start)


def _boxes_in_photograph(
    xyxy: np.ndarray, valid_hw: np.ndarray, photo_hw: tuple[int, int]
) -> np.ndarray:
    h, w = photo_hw
    scale = np.array([w / valid_hw[1], h / valid_hw[0]] * 2)
    return np.clip(xyxy * scale, 0, [w, h, w, h])


def _softmax(logit: np.ndarray) -> np.ndarray:
    logit = np.asarray(logit, np.float64)
    prob = np.exp(logit - logit.max(axis=-1, keepdims=True))
    return prob / prob.sum(axis=-1, keepdims=True)


def _pixels(low: float, high: float, size: int) -> range:
    return range(max(int(np.floor(low)), 0), min(int(np.ceil(high)), size))


def _read_rows(cells: np.ndarray, pixels: range, low: float, high: float) -> np.ndarray:
    """f64[pixels, n]: what pixel centres read bilinearly from the rows of f64[S + 2, n].

    S rows share [low, high) evenly; the first and the last one lie beyond them.
    """
    count = len(cells) - 2
    index = count * (np.arange(pixels.start, pixels.stop) + 0.5 - low) / (high - low) + 0.5
    index = np.minimum(np.maximum(index, 0), count + 1)
    above = np.minimum(index.astype(np.intp), count)
    value = np.take(cells[1:] - cells[:-1], above, axis=0)
    value *= (index - above)[:, None]
    value += np.take(cells, above, axis=0)
    return value
