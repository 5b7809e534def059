"""A model of a few thousand parameters whose ranks differ, as a folder of weights."""

import functools
import tempfile

import numpy as np

from sor_jax.checkpoints.exported import write_exported
from sor_jax.config import flatten
from tests.small import small_network

CARD = {"name": "tiny", "summary": "made-up numbers", "licence": "Apache-2.0"}


@functools.lru_cache
def exported() -> str:
    """The folder; it goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="sor_jax-tiny-")
    _KEPT.append(folder)
    config, _, variables = small_network()
    write_exported(folder.name, variables, flatten(config.to_dict()), CARD)
    return folder.name


_KEPT = []


def photograph(seed: int, hw=(90, 120)) -> np.ndarray:
    """Noise with two bright rectangles."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 120, (*hw, 3), np.uint8)
    h, w = hw
    image[h // 5 : h // 2, w // 6 : w // 2] += 120
    image[h // 2 : h - 2, w // 2 : w - 2, seed % 3] += 100
    return image
