"""TFDS builder: drawn scenes -> ArrayRecord files."""

import dataclasses
import os
from collections.abc import Mapping

import tensorflow_datasets as tfds

from sor_jax.datasets.prepare import LocalBuilder, prepared, progress
from sor_jax.datasets.scenes.encode import examples

NUM_SCENES: Mapping[str, int] = {"train": 6000, "val": 200, "test": 400}


@dataclasses.dataclass
class ScenesConfig(tfds.core.BuilderConfig):
    """What is drawn; its name says all of it."""

    image_hw: tuple[int, int] = (128, 160)
    seed: int = 0
    num_scenes: Mapping[str, int] = dataclasses.field(default_factory=lambda: NUM_SCENES)


class Scenes(LocalBuilder):
    """Drawn pictures of 2 to 9 objects, of which the five most salient are ranked by a rule."""

    # Raise this with any change that draws other pictures: prepared ones are then drawn anew.
    VERSION = tfds.core.Version("1.0.0")

    def _split_generators(self, dl_manager):
        del dl_manager
        return {split: self._generate_examples(split) for split in self.builder_config.num_scenes}

    def _generate_examples(self, split):
        config = self.builder_config
        count = config.num_scenes[split]
        drawn = examples(config.seed, split, count, config.image_hw)
        yield from enumerate(progress(drawn, total=count, what=split))


def builder(
    *,
    image_hw: tuple[int, int] = (128, 160),
    seed: int = 0,
    num_scenes: Mapping[str, int] = NUM_SCENES,
    cache_dir: str | os.PathLike | None = None,
) -> Scenes:
    """The prepared builder of scenes of this size (height, width); they are drawn at first use.

    `num_scenes` gives the number for each split. Scene i of a split depends on seed, split and i
    only, so a larger set begins with the smaller one. Records go to `cache_dir` (default:
    sor_jax.datasets.prepare.default_cache_dir()).
    """
    height, width = image_hw
    counts = "-".join(f"{split}{count}" for split, count in sorted(num_scenes.items()))
    config = ScenesConfig(
        name=f"{height}x{width}-seed{seed}-{counts}",
        image_hw=(height, width),
        seed=seed,
        num_scenes=dict(num_scenes),
    )
    return prepared(Scenes, config, cache_dir=cache_dir, what=f"scenes of {height}x{width}")
