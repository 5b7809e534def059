"""The built-in data set: drawn scenes whose objects are ranked by a rule."""

from sor_jax.datasets.scenes.builder import NUM_SCENES, Scenes, builder

__all__ = ["NUM_SCENES", "Scenes", "builder"]
