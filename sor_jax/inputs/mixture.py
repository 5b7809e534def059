"""Several data sets in one stream of training images, each with a weight of its own."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from sor_jax.datasets.record import Record, ranked_indices
from sor_jax.inputs.augment import Augmentation, draw_view, jitter_colour, paste_objects
from sor_jax.inputs.damage import Damaged

# Images in an endless data set: Grain's own number, sys.maxsize, leaves no room to add to it.
_ENDLESS = 2**50


class Part(NamedTuple):
    """One data set of a mixture.

    Attributes:
      source: its records.
      weight: its share of the images, relative to the other parts'.
      targets: which objects are ground truth, see `target_indices`.
      name: for the log.
    """

    source: Any
    weight: float = 1.0
    targets: str = "ranked"
    name: str = ""


def names_of(roots: Sequence[str]) -> list[str]:
    """A name for the log from each folder's own, told apart by numbers where they are equal."""
    names = [pathlib.Path(root).name for root in roots]
    return [
        name if names.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(names)
    ]


class Epochs:
    """How often the images of each part have come.

    Args:
      parts: of the mixture.
    """

    def __init__(self, parts: Sequence[Part]):
        total = sum(part.weight for part in parts)
        self._rates = {
            part.name: part.weight / total / len(WithObjects(part.source, part.targets))
            for part in parts
        }

    def __call__(self, num_images: int) -> dict[str, float]:
        """By the part's name, once `num_images` were taken of the mixture."""
        return {name: num_images * rate for name, rate in self._rates.items()}


def mixed_images(
    parts: Sequence[Part], pad, *, seed: int, shuffle: bool, augmentation: Augmentation
) -> grain.MapDataset:
    """The padded images of all parts without end; which comes when depends on the index alone.

    Every image of a part comes once before any of it comes again. `pad` turns a record into an
    image; its `targets` are set for each part.
    """
    sources = [WithObjects(part.source, part.targets) for part in parts]
    pads = [functools.partial(pad, targets=part.targets) for part in parts]
    donors = [
        (source, pad)
        for source, pad in zip(sources, pads, strict=True)
        if augmentation.paste and not source.has_ranks
    ]
    if augmentation.paste and not donors:
        raise ValueError(
            "config.data.paste takes objects from sets without ranks, and config.data.mixture "
            "has none"
        )
    streams = []
    for index, (source, pad) in enumerate(zip(sources, pads, strict=True)):
        images = grain.MapDataset.source(source).seed(seed + index)
        images = (images.shuffle() if shuffle else images).repeat(_ENDLESS // len(images))
        change = _Changed(pad, augmentation, donors)
        streams.append(images.random_map(change) if augmentation else images.map(pad))
    if len(streams) == 1:
        return streams[0]
    return grain.MapDataset.mix(streams, [part.weight for part in parts])


class WithObjects:
    """The records of a source that have an object, or with the targets "ranked" one with a rank.

    Attributes:
      has_ranks: whether any of its objects has a rank.
    """

    def __init__(self, source, targets: str):
        self._source = source
        orders = [source.rank_order(index) for index in range(len(source))]
        ranked = np.array([len(ranked_indices(order)) for order in orders], int)
        self.has_ranks = bool(ranked.any())
        counts = [len(order) for order in orders] if targets == "all" else ranked
        self._indices = np.flatnonzero(counts)
        if not len(self._indices):
            what, advice = "an object", ""
            if targets != "all":
                what = "a ranked object"
                advice = "; to learn detection alone set config.data.targets=all"
            raise ValueError(f"{source!r} has {len(source)} records, none with {what}{advice}")

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, index):
        return self._source[self._indices[index]]

    def __repr__(self):
        return f"{self._source!r}, {len(self)} of its records"


class _Changed(grain.transforms.RandomMap):
    """Pads a record and changes it at random, each anew whenever it comes."""

    def __init__(self, pad, augmentation: Augmentation, donors):
        self._pad, self._augmentation, self._donors = pad, augmentation, donors

    def random_map(self, record, rng):
        image = self._change(record, self._pad, rng)
        if self._donors and rng.random() < self._augmentation.paste and image["valid"]:
            source, pad = self._donors[rng.integers(len(self._donors))]
            donor = self._change(source[rng.integers(len(source))], pad, rng)
            image = paste_objects(image, donor)
        return image

    def _change(self, record: Record | Damaged, pad, rng) -> dict[str, np.ndarray]:
        """Flipped, seen at another size and of other colours, as far as that is asked for."""
        how = self._augmentation
        changes: dict[str, Any] = {"flip": bool(rng.random() < 0.5)} if how.flip else {}
        if isinstance(record, Damaged):
            return pad(record)
        if how.scale:
            canvas_hw = pad.keywords["canvas_hw"]
            changes["view"] = draw_view(rng, record.image.shape[:2], canvas_hw, how.scale)
        image = pad(record, **changes)
        if how.colour:
            height, width = image["valid_hw"]
            seen = image["image"][:height, :width]
            seen[:] = jitter_colour(rng, seen, how.colour)
        return image
