"""Which objects of a scene catch the eye: the rule behind the ranks.

    score = 0.55 size + 0.35 centre + 0.30 contrast - 0.55 crowding

Every term is smooth, lies in 0..1 and is read off the finished picture and its masks. Crowding is
the competition between objects: one with rivals near it, of its colour and its size, loses, an odd
one out keeps all of its salience. Lengths are in units of sqrt(height * width), so the rule is the
same at any size.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from sor_jax.datasets.scenes.colour import rgb_to_lab

NUM_RANKED = 5
WEIGHTS: Mapping[str, float] = {"size": 0.55, "centre": 0.35, "contrast": 0.30, "crowding": -0.55}

FULL_SIZE = 0.16
"""Share of the picture at which size is 1; no object is drawn as large."""
CENTRE_SPREAD = 0.6
"""How far on the way to the edge `centre` has fallen to .61."""
FULL_CONTRAST = 60.0
"""Distance in CIELAB at which `contrast` has come to .63."""
RIVAL_COLOUR, RIVAL_REACH = 30.0, 0.40
"""Distance in CIELAB and in the picture at which a rival has lost .63 of its strength."""


@dataclasses.dataclass(frozen=True)
class Measures:
    """What the rule reads off a picture of n objects.

    Attributes:
      area: f64[n], share of the picture.
      position: f64[n, 2], x y of the centre of mass from the picture's middle, in its lengths.
      eccentricity: f64[n], how far that is on the way to the edge: 0 in the middle, 1 on the
        ellipse that touches the four sides.
      colour: f64[n, 3], mean colour, sRGB of 0..255.
      surround: f64[n, 3], the same of what is around the object: its box, grown on every side by a
        quarter of its length there, less the object itself.
    """

    area: np.ndarray
    position: np.ndarray
    eccentricity: np.ndarray
    colour: np.ndarray
    surround: np.ndarray


def measure(image: np.ndarray, labels: np.ndarray, num_objects: int) -> Measures:
    """Measures the objects of a picture.

    Args:
      image: [h, w, c]; sRGB of 0..255, or anything else to be averaged as colours are.
      labels: u8[h, w], i + 1 where object i is seen, 0 elsewhere. Every object must be seen.
    """
    hw = np.array(labels.shape)
    area, centre, colour, surround = [], [], [], []
    for label, box in enumerate(ndimage.find_objects(labels, num_objects), start=1):
        own = labels[box] == label
        inside, around = image[box][own], _around(image, labels, box, label)
        area.append(len(inside) / labels.size)
        centre.append([np.mean(where) + 0.5 for where in np.nonzero(own)])
        centre[-1] = [c + side.start for c, side in zip(centre[-1], box, strict=True)]
        colour.append(inside.mean(axis=0))
        surround.append(around.mean(axis=0) if len(around) else colour[-1])
    offset = np.reshape(centre, (-1, 2)) - hw / 2
    return Measures(
        area=np.array(area),
        position=offset[:, ::-1] / np.sqrt(labels.size),
        eccentricity=np.linalg.norm(offset / (hw / 2), axis=1),
        colour=np.array(colour),
        surround=np.array(surround),
    )


def _around(image, labels, box, label):
    """The pixels [p, 3] of the grown box that are not the object's."""
    grow = [max(1, round(0.25 * (side.stop - side.start))) for side in box]
    grown = tuple(
        slice(max(side.start - by, 0), side.stop + by) for side, by in zip(box, grow, strict=True)
    )
    return image[grown][labels[grown] != label]


def terms(measures: Measures) -> dict[str, np.ndarray]:
    """size, centre, contrast and crowding, f64[n] of 0..1 each."""
    colour = rgb_to_lab(measures.colour)
    contrast = np.linalg.norm(colour - rgb_to_lab(measures.surround), axis=1)
    return {
        "size": np.minimum(np.sqrt(measures.area / FULL_SIZE), 1),
        "centre": np.exp(-((measures.eccentricity / CENTRE_SPREAD) ** 2) / 2),
        "contrast": 1 - np.exp(-contrast / FULL_CONTRAST),
        "crowding": 1 - np.exp(-_rivalry(measures, colour).sum(axis=1)),
    }


def _rivalry(measures, colour):
    """f64[n, n]: how much each pair competes: 1 = same place, colour and size; diagonal 0."""

    def apart(values):
        return np.linalg.norm(values[:, None] - values[None], axis=-1)

    side = np.sqrt(measures.area)
    alike = np.exp(-((apart(colour) / RIVAL_COLOUR) ** 2))
    near = np.exp(-((apart(measures.position) / RIVAL_REACH) ** 2))
    size = np.minimum.outer(side, side) / np.maximum.outer(side, side)
    return alike * near * size * (1 - np.eye(len(side)))


def score(terms: dict[str, np.ndarray], weights: Mapping[str, float] = WEIGHTS) -> np.ndarray:
    """f64[n]: the weighted sum of the terms that have a weight."""
    weighted = (weight * terms[name] for name, weight in weights.items())
    return sum(weighted, start=np.zeros(()))


def rank_order(scores: np.ndarray) -> np.ndarray:
    """f32[n]: 1.0 .9 .8 .7 .6 for the five highest scores, 0 for the others."""
    values = np.zeros(len(scores), np.float32)
    first = np.argsort(-scores, kind="stable")[:NUM_RANKED]
    values[first] = (10 - np.arange(len(first))) / 10
    return values
