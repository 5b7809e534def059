"""COCO JSON with a rank for each annotation, as labelling tools write it; and the way back."""

from sor_jax.datasets.coco.builder import Coco
from sor_jax.datasets.coco.ranks import MEANINGS

__all__ = ["MEANINGS", "Coco"]
