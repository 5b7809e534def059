"""What the ground and the things of a layout are made of: two shades of a colour and a texture."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from sor_jax.datasets.scenes.colour import lab_to_rgb, rgb_to_lab
from sor_jax.datasets.scenes.layout import Thing
from sor_jax.datasets.scenes.texture import Texture, random_texture

_MAIN_CONTRAST = (30.0, 95.0)  # of a thing with the ground; distances in CIELAB
_MINOR_CONTRAST = (16.0, 24.0)
_FAMILY_SPREAD = 2.5
_CANDIDATES = 16
_GROUND_SHADES, _GROUND_PERIOD = (2.0, 6.0), (0.08, 0.30)
_THING_SHADES, _THING_PERIOD = (4.0, 11.0), (0.045, 0.10)


@dataclasses.dataclass(frozen=True)
class Surface:
    """Two colours f64[2, 3], sRGB of 0..255, and the texture that mixes them."""

    colours: np.ndarray
    texture: Texture


def random_colours(rng: Generator, things: Sequence[Thing]) -> np.ndarray:
    """f64[1 + n, 3], sRGB of 0..255: the ground's colour, which is muted, then the things'."""
    ground = _random_lab(rng, (), lightness=(30, 88), chroma=(3, 26))
    is_main = np.array([thing.is_main for thing in things])
    ranges = np.where(is_main[:, None], _MAIN_CONTRAST, _MINOR_CONTRAST)
    distance = np.asarray(rng.uniform(*ranges.T))
    candidates = _random_lab(rng, (len(things), _CANDIDATES), lightness=(28, 92), chroma=(5, 85))
    candidates = rgb_to_lab(lab_to_rgb(candidates))  # as a screen can show them
    miss = np.abs(np.linalg.norm(candidates - ground, axis=-1) - distance[:, None])
    own = candidates[np.arange(len(things)), miss.argmin(axis=1)]
    shared = own[[thing.family for thing in things]] + rng.normal(0, _FAMILY_SPREAD, own.shape)
    return lab_to_rgb(np.concatenate([ground[None], shared]))


def random_surfaces(rng: Generator, colours: np.ndarray) -> list[Surface]:
    """Surfaces that from afar have about these colours, f64[1 + n, 3]; the ground's comes first."""
    ground, *things = rgb_to_lab(colours)
    return [_surface(rng, ground, _GROUND_SHADES, _GROUND_PERIOD)] + [
        _surface(rng, lab, _THING_SHADES, _THING_PERIOD) for lab in things
    ]


def _surface(rng, lab, shades, period):
    """A lighter and a darker shade of a colour; `shades` is how far they may be from it."""
    offset = np.array([rng.uniform(*shades), *rng.uniform(-0.8, 0.8, 2) * shades[1]])
    colours = lab_to_rgb(np.stack([lab + offset, lab - offset]))
    return Surface(colours, random_texture(rng, period=period))


def _random_lab(rng, shape, *, lightness, chroma):
    """f64[*shape, 3] of any hue."""
    hue, saturation = rng.uniform(0, 2 * np.pi, shape), rng.uniform(*chroma, shape)
    return np.stack(
        [rng.uniform(*lightness, shape), saturation * np.cos(hue), saturation * np.sin(hue)],
        axis=-1,
    )
