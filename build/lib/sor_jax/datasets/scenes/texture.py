"""Patterns in 0..1 that mix two colours. The same at any number of pixels: lengths have no unit."""

import dataclasses

import numpy as np
from numpy.random import Generator
from PIL import Image

_KINDS = ("plain", "shade", "stripes", "waves", "checks", "plaid", "dots", "rings", "clouds")


@dataclasses.dataclass(frozen=True)
class Texture:
    """A pattern over the plane.

    Attributes:
      kind: one of _KINDS.
      period: length of one repetition.
      angle: of its direction, in radians.
      phase: where it starts, x y in periods.
      noise: f32[g, g], a grid in 0..1 stretched over the whole area; `clouds` is made of it.
    """

    kind: str
    period: float
    angle: float
    phase: np.ndarray
    noise: np.ndarray


def random_texture(rng: Generator, *, period: tuple[float, float]) -> Texture:
    """Any kind, with a period from this range."""
    cells = int(rng.integers(4, 10))
    return Texture(
        kind=str(rng.choice(_KINDS)),
        period=rng.uniform(*period),
        angle=rng.uniform(0, np.pi),
        phase=rng.random(2),
        noise=rng.random((cells, cells), np.float32),
    )


def pattern(texture: Texture, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The pattern at the points of a grid.

    Args:
      x: f32[w], measured from the middle of the area.
      y: f32[h], the same.

    Returns:
      f32[h, w] in 0..1.
    """
    cosine, sine = np.float32(np.cos(texture.angle)), np.float32(np.sin(texture.angle))
    u = cosine * x + sine * y[:, None]
    v = cosine * y[:, None] - sine * x
    turns = np.float32(2 * np.pi / texture.period)
    start = (2 * np.pi * texture.phase).astype(np.float32)
    return _PATTERNS[texture.kind](texture, u, v, turns, start)


def stretch(grid: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Smooth noise f32[h, w] from a small grid of it."""
    smooth = Image.fromarray(grid).resize((hw[1], hw[0]), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth), 0, 1)


def _soft(wave, steepness):
    """A wave in -1..1 turned into bands of 0 and 1 with soft borders."""
    return np.clip(0.5 + steepness * wave, 0, 1)


def _plain(texture, u, v, turns, start):
    return np.full(u.shape, 0.5, np.float32)


def _shade(texture, u, v, turns, start):
    reach = np.float32(max(np.abs(u).max(), 1e-6))
    return 0.5 + 0.5 * u / reach


def _stripes(texture, u, v, turns, start):
    return _soft(np.sin(turns * u + start[0]), 1.5)


def _waves(texture, u, v, turns, start):
    return _soft(np.sin(turns * u + 1.5 * np.sin(0.6 * turns * v + start[1]) + start[0]), 1.2)


def _checks(texture, u, v, turns, start):
    return _soft(np.sin(turns * u + start[0]) * np.sin(turns * v + start[1]), 2.5)


def _plaid(texture, u, v, turns, start):
    return (_stripes(texture, u, v, turns, start) + _stripes(texture, v, u, turns, start[::-1])) / 2


def _dots(texture, u, v, turns, start):
    return _soft(np.sin(turns * u + start[0]) + np.sin(turns * v + start[1]) - 0.7, 2.0)


def _rings(texture, u, v, turns, start):
    return _soft(np.sin(turns * np.sqrt(u * u + v * v) + start[0]), 1.5)


def _clouds(texture, u, v, turns, start):
    return stretch(texture.noise, u.shape)


_PATTERNS = dict(
    zip(
        _KINDS,
        (_plain, _shade, _stripes, _waves, _checks, _plaid, _dots, _rings, _clouds),
        strict=True,
    )
)
