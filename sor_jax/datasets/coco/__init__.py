"""COCO JSON with a rank for each annotation, as labelling tools write it; and the way back."""

from sor_jax.datasets.coco.builder import Coco, builder

__all__ = ["Coco", "builder"]
