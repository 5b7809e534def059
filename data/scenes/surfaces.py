"""What the ground and the things of a layout are made of: two shades of a colour and a texture."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from data.scenes.colour import lab_to_rgb, rgb_to_lab
from data.scenes.layout import Thing
from data.scenes.texture import Texture, random_texture

_MAIN_CONTRAST = (30.0, 95.0)  # of a thing with the ground; distances in CIELAB
_MINOR_CONTRAST = (16.0, 24.0)
_CANDIDATES = 16


@dataclasses.dataclass(frozen=True)
class Surface:
    """Two colours f64[2, 3], sRGB of 0..255, and the texture that mixes them."""

    colours: np.ndarray
    texture: Texture

    @property
    def mean(self) -> np.ndarray:
        """The colour from afar, f64[3]."""
        return self.colours.mean(axis=0)


def random_surfaces(rng: Generator, things: Sequence[Thing]) -> list[Surface]:
    """The ground's surface, which is muted, then one for each thing."""
    ground_lab = np.array([rng.uniform(30, 88), *_turned(rng.uniform(3, 26), rng.random())])
    families = {
        thing.family: _colour_at(
            rng,
            ground_lab,
            distance=rng.uniform(*(_MAIN_CONTRAST if thing.is_main else _MINOR_CONTRAST)),
        )
        for thing in things
    }
    ground = _surface(rng, ground_lab, spread=(2.0, 6.0), period=(0.08, 0.30))
    return [ground] + [
        _surface(rng, families[thing.family], spread=(4.0, 11.0), period=(0.045, 0.10))
        for thing in things
    ]


def _surface(rng, lab, *, spread, period):
    """A surface around a colour: a lighter and a darker shade, as far apart as `spread` says."""
    lab = lab + rng.normal(0, 2, 3)
    offset = np.array([rng.uniform(*spread), *rng.uniform(-0.8, 0.8, 2) * spread[1]])
    texture = random_texture(rng, period=period)
    return Surface(lab_to_rgb(np.stack([lab + offset, lab - offset])), texture)


def _colour_at(rng, lab, *, distance):
    """Of some random colours the one whose distance from `lab` is nearest to what is asked."""
    a, b = _turned(rng.uniform(5, 85, _CANDIDATES), rng.random(_CANDIDATES))
    colours = np.stack([rng.uniform(28, 92, _CANDIDATES), a, b], axis=1)
    colours = rgb_to_lab(lab_to_rgb(colours))  # as a screen can show them
    return colours[np.argmin(np.abs(np.linalg.norm(colours - lab, axis=1) - distance))]


def _turned(chroma, turn):
    """a b of this chroma in the direction of `turn`, 0..1 around the circle of hues."""
    return chroma * np.cos(2 * np.pi * turn), chroma * np.sin(2 * np.pi * turn)
