"""The built-in data set: drawn scenes whose objects are ranked by a rule."""

from data.scenes.builder import Scenes, builder

__all__ = ["Scenes", "builder"]
