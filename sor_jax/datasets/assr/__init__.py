"""The ASSR layout: photographs, objects and ranks in files that are matched by image id."""

from sor_jax.datasets.assr.builder import Assr, builder

__all__ = ["Assr", "builder"]
