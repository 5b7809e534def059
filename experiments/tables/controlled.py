"""Scenes that differ in one thing: an object moves to the middle, grows, or loses a neighbour."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from sor_jax.datasets.scenes import rule
from sor_jax.datasets.scenes.layout import Layout, random_layout
from sor_jax.datasets.scenes.render import render
from sor_jax.datasets.scenes.surfaces import random_colours, random_surfaces

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far an object has moved on its way to the middle."""
SCALES = (0.6, 0.8, 1.0, 1.25, 1.5)
"""By how much an object is stretched."""
_MIN_SEEN = 0.6  # of every object, in every variant
_TRIES = 500


@dataclasses.dataclass(frozen=True, eq=False)
class Variant:
    """A drawn scene of n objects.

    Attributes:
      image: u8[h, w, 3].
      boxes: f32[n, 4] x0 y0 x1 y1 around what is seen of each object, in pixels.
      target: the object that is watched.
      score: of the target by the rule of the data set.
    """

    image: np.ndarray
    boxes: np.ndarray
    target: int
    score: float


def moved(rng: Generator, image_hw: tuple[int, int]) -> list[Variant]:
    """One scene of four objects for each of SHARES: one of them, unlike the others in colour, on
    its way to the middle."""

    def variants(layout):
        target = layout.things[-1]
        if _has_family(layout):
            return []
        angle = rng.uniform(0, 2 * np.pi)
        room = layout.size / 2 - 0.6 * np.sqrt(target.area)
        start = layout.size / 2 + np.array([np.cos(angle), np.sin(angle)]) * room
        places = [start + share * (layout.size / 2 - start) for share in SHARES]
        return [_with_last(layout, _placed(target, place, 1.0)) for place in places]

    return _drawn(rng, image_hw, variants)


def enlarged(rng: Generator, image_hw: tuple[int, int]) -> list[Variant]:
    """As moved, for each of SCALES: one of them grows where it is."""

    def variants(layout):
        target = layout.things[-1]
        if _has_family(layout):
            return []
        return [_with_last(layout, _placed(target, target.centre, scale)) for scale in SCALES]

    return _drawn(rng, image_hw, variants)


def without_neighbour(rng: Generator, image_hw: tuple[int, int]) -> list[Variant]:
    """Scenes of five objects, of which the last two are alike and side by side: the whole, without
    one of the two (a rival of the other), and without a stranger instead."""

    def variants(layout):
        *others, target = layout.things
        strangers = [i for i, other in enumerate(others) if other.family != target.family]
        angle = rng.uniform(0, 2 * np.pi)
        step = np.array([np.cos(angle), np.sin(angle)]) * 1.25 * np.sqrt(target.area)
        rival = _placed(target, target.centre + step, 1.0)
        inside = np.all((rival.centre > 0) & (rival.centre < layout.size))
        if not strangers or not inside:
            return []
        whole = dataclasses.replace(layout, things=(*others, rival, target))
        return [whole, _without(whole, -2), _without(whole, strangers[0])]

    return _drawn(rng, image_hw, variants)


CHANGES = {
    "moved to the middle": moved,
    "enlarged": enlarged,
    "neighbour removed": without_neighbour,
}


def _has_family(layout) -> bool:
    """Whether another object is like the last one: then crowding changes as it moves or grows."""
    *others, target = layout.things
    return any(other.family == target.family for other in others)


def _drawn(rng, image_hw, make) -> list[Variant]:
    """The variants of the first random layout in all of which every object is well in sight."""
    for _ in range(_TRIES):
        layout = random_layout(rng, num_things=4, aspect=image_hw[1] / image_hw[0])
        layouts = make(layout) if layout is not None else []
        if not layouts:
            continue
        things = max((variant.things for variant in layouts), key=len)
        surfaces = random_surfaces(rng, random_colours(rng, things))
        found = [
            _draw(variant, [surfaces[0], *_matching(variant, things, surfaces[1:])], image_hw)
            for variant in layouts
        ]
        if all(found):
            return found
    raise RuntimeError(f"no scene of {image_hw} found in {_TRIES} tries")


def _matching(layout: Layout, things: Sequence, surfaces: Sequence) -> list:
    """The surfaces of a layout's things; moved ones keep the place in the list of their own."""
    if len(layout.things) == len(things):
        return list(surfaces)
    kept = [any(thing is other for other in layout.things) for thing in things]
    return [surface for surface, keep in zip(surfaces, kept, strict=True) if keep]


def _draw(layout: Layout, surfaces, image_hw) -> Variant | None:
    """None where an object is hardly seen."""
    count = len(layout.things)
    image, labels = render(layout, surfaces, image_hw)
    seen = np.bincount(labels.ravel(), minlength=count + 1)[1:] / labels.size
    if np.any(seen < [_MIN_SEEN * thing.area for thing in layout.things]):
        return None
    scores = rule.score(rule.terms(rule.measure(image, labels, count)))
    boxes = []
    for label in range(1, count + 1):
        rows, columns = np.nonzero(labels == label)
        boxes.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return Variant(image, np.array(boxes, np.float32), count - 1, float(scores[-1]))


def _placed(thing, centre, scale):
    outline = (thing.outline - thing.centre) * scale + centre
    return dataclasses.replace(
        thing, outline=outline, centre=np.asarray(centre), area=thing.area * scale**2
    )


def _with_last(layout, thing):
    return dataclasses.replace(layout, things=(*layout.things[:-1], thing))


def _without(layout, index):
    things = list(layout.things)
    del things[index]
    return dataclasses.replace(layout, things=tuple(things))
