"""Moves a photograph with its boxes, masks and polygons: fitted into a size, mirrored; edges.

Coordinates are continuous, pixel (row i, column j) covers [j, j + 1) x [i, i + 1).
"""

import numpy as np
from PIL import Image


def fitted_hw(photo_hw: tuple[int, int], inside_hw: tuple[int, int]) -> tuple[int, int]:
    """The largest size inside `inside_hw` that keeps the aspect, a side being int(side + 0.5)."""
    scale = min(inside_hw[0] / photo_hw[0], inside_hw[1] / photo_hw[1])
    height, width = (
        min(max(int(side * scale + 0.5), 1), most)
        for side, most in zip(photo_hw, inside_hw, strict=True)
    )
    return height, width


def resize_image(image: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """u8[h, w, 3] -> u8[*hw, 3] by Pillow's bilinear filter (antialiased); untouched at `hw`."""
    if image.shape[:2] == tuple(hw):
        return image
    return np.asarray(Image.fromarray(image).resize((hw[1], hw[0]), Image.Resampling.BILINEAR))


def resize_masks(masks: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """bool[n, h, w] -> bool[n, *hw]: where the same filter sees at least one half of mask."""
    if masks.shape[1:] == tuple(hw):
        return masks
    resized = np.zeros((len(masks), *hw), bool)
    for index, mask in enumerate(masks):
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        resized[index] = np.asarray(grey.resize((hw[1], hw[0]), Image.Resampling.BILINEAR)) >= 128
    return resized


def resize_boxes(boxes: np.ndarray, photo_hw: tuple[int, int], hw: tuple[int, int]) -> np.ndarray:
    """f32[n, 4] boxes of a photograph of `photo_hw` -> the same in one of `hw`, clipped to it."""
    (height, width), (new_height, new_width) = photo_hw, hw
    size = np.array([new_width, new_height] * 2, np.float32)
    scale = np.array([new_width / width, new_height / height] * 2, np.float32)
    return np.clip(boxes * scale, 0, size)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """f32[n, 4] boxes of the photograph mirrored left to right."""
    x0, y0, x1, y1 = boxes.T
    return np.stack([width - x1, y0, width - x0, y1], axis=1)


def resize_points(points: np.ndarray, photo_hw: tuple[int, int], hw: tuple[int, int]) -> np.ndarray:
    """f32[n, 2] x y in a photograph of `photo_hw` -> the same in one of `hw`."""
    return points * np.array([hw[1] / photo_hw[1], hw[0] / photo_hw[0]], np.float32)


def flip_points(points: np.ndarray, width: int) -> np.ndarray:
    """f32[n, 2] x y of the photograph mirrored left to right."""
    return np.stack([width - points[:, 0], points[:, 1]], axis=1)


def edges_of(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The edges of an object's parts, f32[e, 4] x0 y0 x1 y1, and i32[e], the part of each.

    Every part f32[v, 2] is closed and turned so that its area, the sum of x0 y1 - x1 y0 over two,
    is not negative. Edges without length are left out.
    """
    edges = [_closed(part) for part in parts]
    part = np.repeat(np.arange(len(parts), dtype=np.int32), [len(e) for e in edges])
    return np.concatenate([np.zeros((0, 4), np.float32), *edges]), part


def _closed(part):
    ends = np.roll(part, -1, axis=0)
    x, y = part.astype(np.float64).T
    if x @ ends[:, 1] < y @ ends[:, 0]:
        part, ends = ends[::-1], part[::-1]
    edges = np.concatenate([part, ends], axis=1)
    return edges[(part != ends).any(axis=1)]
