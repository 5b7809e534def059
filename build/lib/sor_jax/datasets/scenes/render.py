"""From a layout to pixels: things of soft shine that throw a shadow on what is behind them."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from sor_jax.datasets.scenes.layout import Layout, fill
from sor_jax.datasets.scenes.surfaces import Surface
from sor_jax.datasets.scenes.texture import pattern

_FINE = 4  # how much finer than the picture an outline is drawn
_SHADOW_REACH, _SHADOW_DEPTH = 0.016, 0.45
_BEVEL_REACH, _BEVEL_DEPTH = 0.014, 0.55


def render(
    layout: Layout, surfaces: Sequence[Surface], image_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a layout in the surfaces of its ground and its things.

    Returns:
      u8[h, w, 3], sRGB, and u8[h, w]: i + 1 where thing i covers at least half of a pixel and
      nothing in front of it does, 0 elsewhere.
    """
    scale = math.sqrt(image_hw[0] * image_hw[1])
    canvas = _ground(surfaces[0], layout.size, image_hw)
    labels = np.zeros(image_hw, np.uint8)
    for index, thing in enumerate(layout.things):
        path = thing.outline * scale
        box, corner = _window(path, image_hw, margin=4 * _SHADOW_REACH * scale)
        cover = _add(
            canvas[box], path - corner, thing.centre - corner / scale, surfaces[index + 1], scale
        )
        labels[box][cover >= 0.5] = index + 1
    return np.rint(np.clip(canvas, 0, 255)).astype(np.uint8), labels


def _ground(surface, size, image_hw):
    """f32[h, w, 3]: the ground, lit from the top left and a little darker at the corners."""
    y, x = (
        length * ((np.arange(n, dtype=np.float32) + 0.5) / n - 0.5)
        for length, n in zip(size[::-1].astype(np.float32), image_hw, strict=True)
    )
    light = 1.02 - 0.06 * (x + y[:, None]) - 0.12 * (x**2 + y[:, None] ** 2)
    return _coloured(surface, x, y) * light[..., None]


def _window(path, image_hw, *, margin):
    """The slices of the picture around a path, and the x y of their top left corner."""
    first = np.maximum(np.floor(path.min(axis=0) - margin), 0).astype(int)
    last = np.minimum(np.ceil(path.max(axis=0) + margin), image_hw[::-1]).astype(int)
    return (slice(first[1], last[1]), slice(first[0], last[0])), first


def _add(part, path, centre, surface, scale):
    """Draws one thing on a part of the canvas f32[h, w, 3], in place.

    `path` is in pixels of the part, `centre` in units of length from its corner. Returns how much
    of each pixel is covered, f32[h, w].
    """
    hw = part.shape[:2]
    shadow = _filled(path + _SHADOW_REACH * scale, hw, 1)
    part *= 1 - _SHADOW_DEPTH * _softened(shadow, _SHADOW_REACH * scale)[..., None]
    outline = _filled(path, hw, _FINE).reduce(_FINE)
    y, x = (
        ((np.arange(n) + 0.5) / scale - middle).astype(np.float32)
        for n, middle in zip(hw, centre[::-1], strict=True)
    )
    colour = _coloured(surface, x, y) * _shine(outline, scale)[..., None]
    cover = np.asarray(outline, np.float32) / 255
    part += cover[..., None] * (colour - part)
    return cover


def _coloured(surface, x, y):
    """f32[h, w, 3] at the points x f32[w], y f32[h], measured from the middle of the surface."""
    first, second = surface.colours.astype(np.float32)
    return second + pattern(surface.texture, x, y)[..., None] * (first - second)


def _shine(outline, scale):
    """f32[h, w]: brightness of a raised edge under light from the top left, 1 where it is flat."""
    height = _softened(outline, _BEVEL_REACH * scale)
    slope = sum(np.gradient(height)) * np.float32(_BEVEL_REACH * scale)
    return 1 + _BEVEL_DEPTH * slope


def _filled(path, hw, fine):
    picture = Image.new("L", (hw[1] * fine, hw[0] * fine))
    fill(picture, path * fine, 255)
    return picture


def _softened(picture, reach):
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(reach)), np.float32) / 255
