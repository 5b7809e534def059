"""Outlines of area one around the origin, one drawn at random per call."""

import numpy as np
from numpy.random import Generator

_POINTS = 72  # enough that a round outline of half a 640-pixel image shows no corners


def _circle():
    return np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)


def _polar(radius, angle):
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _ellipse(rng: Generator):
    return _polar(1.0, _circle()) * [1, rng.uniform(0.55, 1)]


def _rounded_box(rng: Generator):
    angle, power = _circle(), rng.uniform(0.3, 0.5)
    cosine, sine = np.cos(angle), np.sin(angle)
    box = np.stack([np.sign(v) * np.abs(v) ** power for v in (cosine, sine)], axis=1)
    return box * [1, rng.uniform(0.5, 1)]


def _polygon(rng: Generator):
    corners = int(rng.integers(3, 7))
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return _rounded(_polar(rng.uniform(0.85, 1.15, corners), angle), rng.uniform(1.0, 2.5))


def _star(rng: Generator):
    tips = int(rng.integers(4, 8))
    radius = np.tile([1.0, rng.uniform(0.45, 0.62)], tips)
    angle = np.linspace(0, 2 * np.pi, 2 * tips, endpoint=False)
    return _rounded(_polar(radius, angle), rng.uniform(0.6, 1.5))


def _flower(rng: Generator):
    angle = _circle()
    petals = int(rng.integers(4, 8))
    return _polar(1 + rng.uniform(0.12, 0.25) * np.cos(petals * angle), angle)


def _blob(rng: Generator):
    angle, radius = _circle(), 1.0
    for wave in (2, 3, 4):
        radius = radius + rng.uniform(0, 0.55) / wave * np.cos(wave * angle + rng.uniform(0, 6.28))
    return _polar(radius, angle)


def _drop(rng: Generator):
    angle = _circle()
    return np.stack([-np.cos(angle), np.sin(angle) * np.sin(angle / 2) ** rng.uniform(0.8, 1.6)], 1)


def _heart(rng: Generator):
    t = _circle()
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y * rng.uniform(0.9, 1.1)], axis=1)


def _cross(rng: Generator):
    arm = rng.uniform(0.3, 0.45)
    quarter = np.array([[1, -arm], [1, arm], [arm, arm]])
    turn = np.array([[0, 1], [-1, 0]])
    corners = np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    return _rounded(corners, rng.uniform(0.6, 1.5))


def _crescent(rng: Generator):
    tip = rng.uniform(1.9, 2.3)
    outer = _polar(1.0, np.linspace(-tip, tip, _POINTS // 2))
    around = np.linspace(np.pi / 2, -np.pi / 2, _POINTS // 2)[1:-1]
    depth = rng.uniform(0.35, 0.55) * (1 - np.cos(tip))
    inner = np.stack([np.cos(tip) + depth * np.cos(around), np.sin(tip) * np.sin(around)], axis=1)
    return np.concatenate([outer, inner])


def _ring(rng: Generator):
    outer = _ellipse(rng)
    outer = np.concatenate([outer, outer[:1]])
    return np.concatenate([outer, rng.uniform(0.4, 0.55) * outer[::-1]])  # in, around, back out


def _rounded(corners, spread):
    """Corners [n, 2] joined by straight sides, then smoothed along the outline."""
    closed = np.concatenate([corners, corners[:1]])
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, length[-1], _POINTS, endpoint=False)
    points = np.stack([np.interp(at, length, closed[:, axis]) for axis in (0, 1)], axis=1)
    reach = np.minimum(np.arange(_POINTS), _POINTS - np.arange(_POINTS))
    weight = np.exp(-0.5 * (reach / spread) ** 2)
    spectrum = np.fft.rfft(points, axis=0) * np.fft.rfft(weight / weight.sum())[:, None]
    return np.fft.irfft(spectrum, _POINTS, axis=0)


SHAPES = {
    "ellipse": _ellipse,
    "box": _rounded_box,
    "polygon": _polygon,
    "star": _star,
    "flower": _flower,
    "blob": _blob,
    "drop": _drop,
    "heart": _heart,
    "cross": _cross,
    "crescent": _crescent,
    "ring": _ring,
}


def outline(kind: str, rng: Generator) -> np.ndarray:
    """A random shape of this kind, turned at random.

    Returns:
      f64[p, 2] x y, a closed path of area 1 with the mean of its points at the origin. The path of
      a ring goes around the hole too, the other way.
    """
    points = SHAPES[kind](rng)
    points = points - points.mean(axis=0)
    turn = rng.uniform(0, 2 * np.pi)
    points = points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return points / np.sqrt(path_area(points))


def path_area(points: np.ndarray) -> float:
    """Area inside f[p, 2] by the shoelace formula."""
    x, y = points.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
