"""Twelve photographs of a new set with fixations and ranks, to look at."""

import numpy as np
from PIL import ImageDraw

from sor_jax.datasets.fixations.looks import Looks
from sor_jax.datasets.images import decode_image
from sor_jax.datasets.record import rank_classes
from sor_jax.visualize import contact_sheet, ranked_overlay

NUMBER = 12


class Sheet:
    """Collects pictures of some of the photographs.

    Attributes:
      chosen: which of `total` photographs, by number; drawn at random from the seed.
    """

    def __init__(self, total: int, *, seed: int):
        drawn = np.random.default_rng(seed).permutation(total)[:NUMBER]
        self.chosen = set(drawn.tolist())
        self._pictures: list[np.ndarray] = []

    def add(self, encoded: bytes, masks: np.ndarray, values: np.ndarray, looks: Looks | None):
        """The photograph in pale greys, its ranked objects in colour, every fixation a dot.

        `encoded` are the bytes of the photograph's file; masks bool[n, h, w]; values f[n].
        """
        ranked = np.flatnonzero(values > 0.5)
        ranks = 5 - rank_classes(values[ranked])
        picture = ranked_overlay(decode_image(encoded), masks[ranked], ranks)
        draw = ImageDraw.Draw(picture)
        scale = picture.width / masks.shape[2]
        for x, y in scale * (np.zeros((0, 2)) if looks is None else looks.xy):
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill="black", outline="white")
        self._pictures.append(np.asarray(picture))

    def page(self) -> np.ndarray:
        """u8[h, w, 3] all pictures, four in a row."""
        return contact_sheet(self._pictures, columns=4, scale=0.8)
