"""One scene of the built-in set: a picture, its true masks, and ranks by scenes.rule."""

import dataclasses
import zlib

import numpy as np
from scipy import ndimage

from sor_jax.datasets.scenes import rule
from sor_jax.datasets.scenes.layout import random_layout
from sor_jax.datasets.scenes.render import render
from sor_jax.datasets.scenes.surfaces import random_colours, random_surfaces

MIN_GAP = 0.025
"""Least difference of score between ranked neighbours."""
MIN_GAP_UNRANKED = 0.06
"""Least difference of score between the fifth object and the sixth."""
MIN_SIDE, MAX_ASPECT = 32, 6.0

_SURENESS = 1.3  # how much wider the gaps must be before shadows and textures are drawn
_COUNT_SHARES = {2: 0.10, 3: 0.20, 4: 0.22, 5: 0.22, 6: 0.12, 7: 0.07, 8: 0.04, 9: 0.03}
_COLOURINGS = 10  # of a layout, before another one is tried
_LAYOUTS = 25  # for a number of things, before it is made smaller


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A drawn picture with n objects, hindmost first.

    Attributes:
      image: u8[h, w, 3] sRGB.
      masks: bool[n, h, w], what is seen of each object; no two overlap.
      boxes: f32[n, 4] x0 y0 x1 y1 around the masks, in pixels.
      rank_order: f32[n], 1.0 .9 .8 .7 .6 for the five most salient, 0 for the others.
      terms: what the rule weighs, f64[n] under each name of rule.WEIGHTS.
    """

    image: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    rank_order: np.ndarray
    terms: dict[str, np.ndarray]


def draw(seed: int, split: str, index: int, *, image_hw: tuple[int, int]) -> Scene:
    """Draws a scene of 2..9 objects; the same arguments give the same scene.

    Scenes whose ranks hang on less than MIN_GAP of the score are drawn anew.
    """
    height, width = image_hw
    if min(image_hw) < MIN_SIDE or max(image_hw) > MAX_ASPECT * min(image_hw):
        raise ValueError(
            f"image_hw is {tuple(image_hw)}: a scene needs at least {MIN_SIDE} pixels a side, "
            f"and no side longer than {MAX_ASPECT:g} times the other"
        )
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    counts, shares = zip(*_COUNT_SHARES.items(), strict=True)
    for num_things in range(int(rng.choice(counts, p=shares)), 1, -1):
        for _ in range(_LAYOUTS):
            layout = random_layout(rng, num_things=num_things, aspect=width / height)
            if layout is None:
                continue
            scene = _coloured_scene(rng, layout, image_hw)
            if scene is not None:
                return scene
    raise RuntimeError(f"no scene of {image_hw} found for seed {seed}, {split} {index}")


def _coloured_scene(rng, layout, image_hw):
    """The scene of a layout in the first colours that make its ranks clear, or None."""
    num_things = len(layout.things)
    # With a channel per label, the mean "colours" are the shares of the labels.
    rough = rule.measure(np.eye(num_things + 1)[layout.labels], layout.labels, num_things)
    for _ in range(_COLOURINGS):
        colours = random_colours(rng, layout.things)
        flat = dataclasses.replace(
            rough, colour=rough.colour @ colours, surround=rough.surround @ colours
        )
        if not _is_clear(rule.score(rule.terms(flat)), _SURENESS):
            continue
        image, labels = render(layout, random_surfaces(rng, colours), image_hw)
        terms = rule.terms(rule.measure(image, labels, num_things))
        if _is_clear(rule.score(terms), 1.0):
            masks = labels == np.arange(1, num_things + 1)[:, None, None]
            return Scene(image, masks, _boxes(labels), rule.rank_order(rule.score(terms)), terms)
    return None


def _is_clear(scores, sureness):
    """Whether every rank hangs on a gap of at least so many times what is asked."""
    gaps = -np.diff(np.sort(scores)[::-1][: rule.NUM_RANKED + 1])
    least = np.where(np.arange(len(gaps)) < rule.NUM_RANKED - 1, MIN_GAP, MIN_GAP_UNRANKED)
    return bool(np.all(gaps >= sureness * least))


def _boxes(labels):
    slices = ndimage.find_objects(labels)
    return np.array([[x.start, y.start, x.stop, y.stop] for y, x in slices], np.float32)
