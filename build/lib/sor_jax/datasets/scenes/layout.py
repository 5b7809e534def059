"""Where the things of a scene are, before they have colours.

Lengths are in units of sqrt(height * width) of the picture, so its area is 1 and a layout can be
drawn at any size of the same aspect.
"""

import dataclasses

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from sor_jax.datasets.scenes.rule import NUM_RANKED
from sor_jax.datasets.scenes.shapes import SHAPES, outline

_MAIN_AREA = (0.026, 0.140)  # of the five that are meant to be ranked
_MINOR_AREA = (0.010, 0.017)  # of the others, which stay off the middle
_MIN_SEEN = 0.65  # of a thing's area; the rest may be covered or outside
_FAMILY_SHARE = 0.40  # of things that take after an earlier one and stay near it
_COVER_SHARE = 0.25  # of the others: put where they cover a part of an earlier one
_TRIES = 12  # places tried for a thing
_JUDGED_AT = 80.0  # pixels a unit of length where it is judged what is seen


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object.

    Attributes:
      family: things of one family have nearly the same colour.
      is_main: large and coloured, rather than small and dull.
      outline: f64[p, 2] x y, a closed path in the picture.
      centre: f64[2] x y, the middle of the outline.
      area: inside the outline.
    """

    kind: str
    family: int
    is_main: bool
    outline: np.ndarray
    centre: np.ndarray
    area: float


@dataclasses.dataclass(frozen=True)
class Layout:
    """A scene of n things, hindmost first.

    Attributes:
      size: f64[2], width and height of the picture.
      labels: u8[h, w], coarse: i + 1 where thing i is seen, 0 elsewhere.
    """

    size: np.ndarray
    things: tuple[Thing, ...]
    labels: np.ndarray


def random_layout(rng: Generator, *, num_things: int, aspect: float) -> Layout | None:
    """A layout for a picture of this width / height, or None where a thing found no place."""
    size = np.array([np.sqrt(aspect), 1 / np.sqrt(aspect)])
    width, height = (int(round(length * _JUDGED_AT)) for length in size)
    labels = np.zeros((height, width), np.uint8)
    things: list[Thing] = []
    for is_main in rng.permutation(np.arange(num_things) < NUM_RANKED):
        found = _put(rng, size, things, labels, is_main=bool(is_main))
        if found is None:
            return None
        thing, labels = found
        things.append(thing)
    return Layout(size, tuple(things), labels)


def fill(picture: Image.Image, path: np.ndarray, value: int) -> None:
    """Fills a path f64[p, 2] of a one-channel picture; x y in its pixels."""
    ImageDraw.Draw(picture).polygon((path - 0.5).ravel().tolist(), fill=value)


def _put(rng, size, things, labels, *, is_main):
    """A new thing and the labels with it, at the first place that leaves all things in sight."""
    parent = None
    if things and is_main and rng.random() < _FAMILY_SHARE:
        parent = things[rng.integers(len(things))]
    kind, family, area = _random_traits(rng, size, len(things), parent, is_main=is_main)
    shape = outline(kind, rng) * np.sqrt(area)
    for _ in range(_TRIES):
        centre = _random_centre(rng, size, things, parent, area, is_main=is_main)
        thing = Thing(kind, family, is_main, shape + centre, centre, area)
        picture = Image.fromarray(labels)
        fill(picture, thing.outline * _JUDGED_AT, len(things) + 1)
        seen = np.bincount(np.asarray(picture).ravel(), minlength=len(things) + 2)[1:] / labels.size
        if np.all(seen >= [_MIN_SEEN * t.area for t in (*things, thing)]):
            return thing, np.asarray(picture)
    return None


def _random_traits(rng, size, number, parent, *, is_main):
    """Shape, family and area; some by inheritance."""
    smallest, largest = _MAIN_AREA if is_main else _MINOR_AREA
    largest = max(min(largest, (0.6 * size.min()) ** 2), smallest)
    kind = str(rng.choice(list(SHAPES)))
    if parent is None or not parent.is_main:
        return kind, number, rng.uniform(smallest, largest)
    kind = parent.kind if rng.random() < 0.6 else kind
    area = np.clip(parent.area * rng.uniform(0.6, 1.6), smallest, largest)
    return kind, parent.family, float(area)


def _random_centre(rng, size, things, parent, area, *, is_main):
    """Near the parent; or partly over an earlier thing; or anywhere."""
    radius = np.sqrt(area)
    other, reach = parent, rng.uniform(0.55, 0.95)
    if parent is None and things and rng.random() < _COVER_SHARE:
        other, reach = things[rng.integers(len(things))], rng.uniform(0.45, 0.65)
    if other is not None:
        angle = rng.uniform(0, 2 * np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * reach * (radius + np.sqrt(other.area))
        return np.clip(other.centre + step, 0.5 * radius, size - 0.5 * radius)
    inside = rng.uniform(-1, 1, 2)
    if not is_main:
        inside /= max(np.abs(inside).max(), 1e-6) / rng.uniform(0.6, 1)
    return size / 2 + inside * np.maximum(size / 2 - 0.5 * radius, 0)
