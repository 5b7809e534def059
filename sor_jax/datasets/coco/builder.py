"""TFDS builder: a split of COCO JSON with ranks -> ArrayRecord files."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from sor_jax.datasets.checks import XYWH
from sor_jax.datasets.coco import files
from sor_jax.datasets.coco.ranks import MEANINGS, rank_order
from sor_jax.datasets.example import AnnotatedPhotograph, has_masks
from sor_jax.datasets.folder import Folder, FolderBuilder
from sor_jax.metrics.sor import NUM_RANKS


class CocoFolder(Folder):
    """A split as COCO JSON has it, see datasets.folder.Folder.

    Args:
      root: the folder, see sor_jax.datasets.coco.files.
      split: train, val or test.
      rank_field: the field of an annotation that holds its rank, "attributes.rank" one inside of
        another; "" for a set without ranks.
      rank_values: "places" (1 = most salient) or "scores" (larger = more salient).
      num_ranks: so many objects of a photograph at most have a rank.
    """

    def __init__(
        self,
        root: str | os.PathLike | None,
        split: str,
        rank_field: str = "rank",
        rank_values: str = "places",
        num_ranks: int = NUM_RANKS,
    ):
        if rank_values not in MEANINGS:
            raise ValueError(
                f"config.data.rank_values is {rank_values!r}; expected one of {', '.join(MEANINGS)}"
            )
        (self.root, objects), self.split = files.require(root, split), split
        self.arguments = {"rank_field": rank_field, "rank_values": rank_values}
        if num_ranks != NUM_RANKS:
            self.arguments["num_ranks"] = num_ranks
        self._rank_field, self._rank_values, self._num_ranks = rank_field, rank_values, num_ranks
        images = files.read_images(self.root, split, objects)
        self._images = {image.name: image for image in images}
        self.ids = list(self._images)
        self.lists = {"objects": objects}
        self.finders = {"image": lambda name: self._images[name].path}
        self._masks = has_masks(one for image in images for one in image.annotations)
        entries = (entry for image in images for entry in image.annotations)
        fields = {name for entry in entries for name in _names(entry)}
        if rank_field and rank_field not in fields:
            _check_rank_field(self.root, rank_field)
        crowds = [one for image in images for one in image.crowds]
        ranked = sum(_value(one, rank_field) is not None for one in crowds) if rank_field else 0
        self.note = (
            f"{ranked} of {len(crowds)} crowds (iscrowd is 1) have a rank; crowds are passed over: "
            "set iscrowd to 0 where one is an object"
            if ranked
            else ""
        )

    list_of = staticmethod(files.annotation_file)

    def photograph(self, image_id: str) -> AnnotatedPhotograph:
        """What the files say of a photograph."""
        image, ranks = self._images[image_id], None
        where = str(self.lists["objects"])
        if self._rank_field:
            values = [_value(entry, self._rank_field) for entry in image.annotations]
            try:
                order = rank_order(values, self._rank_values, self._rank_field, self._num_ranks)
                ranks = order.tolist()
            except ValueError as error:
                raise ValueError(f"{where}, record {image_id}: {error}") from error
        return AnnotatedPhotograph(
            image.path,
            image.annotations,
            ranks,
            where,
            box_format=XYWH,
            photo_hw=image.size,
            num_ranks=self._num_ranks,
            masks=self._masks,
        )


class Coco(FolderBuilder):
    """Photographs with object masks, of which up to five are ranked, from COCO JSON."""

    FOLDER = CocoFolder


def _names(entry: dict) -> Iterator[str]:
    """The fields of an annotation, and those inside of them as "attributes.rank"."""
    for name, value in entry.items():
        yield name
        if isinstance(value, dict) and name != "segmentation":
            yield from (f"{name}.{inner}" for inner in value)


def _value(entry: dict, name: str):
    """What a field holds, None where there is none."""
    outer, _, inner = name.partition(".")
    if name in entry or not isinstance(entry.get(outer), dict):
        return entry.get(name)
    return entry[outer].get(inner)


def _check_rank_field(root: pathlib.Path, rank_field: str) -> None:
    """Raises ValueError where no annotation of any split has the field."""
    names = set()
    for split in files.SPLITS:
        if path := files.annotation_file(root, split):
            with contextlib.suppress(
                ValueError, OSError, KeyError, TypeError
            ):  # its own opening tells of it
                entries = files.read_json(path)["annotations"]
                names |= {name for entry in entries for name in _names(entry)}
    if rank_field not in names:
        raise ValueError(
            f"no annotation in {root} has the field {rank_field!r}; they have "
            f"{', '.join(sorted(names)) or 'none'}. Set config.data.rank_field to the one that "
            "holds the rank, or to '' for a set without ranks"
        )
