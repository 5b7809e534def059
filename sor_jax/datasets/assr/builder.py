"""TFDS builder: a split of any folder in ASSR layout -> ArrayRecord files."""

import os
import pathlib

from sor_jax.datasets.assr import layout
from sor_jax.datasets.example import Photograph, has_masks
from sor_jax.datasets.folder import FolderBuilder, open_folder
from sor_jax.datasets.images import SUFFIXES
from sor_jax.datasets.names import Finder, what_lies_there
from sor_jax.metrics.sor import NUM_RANKS


class Assr(FolderBuilder):
    """Photographs with object masks of which up to five are ranked, from files in ASSR layout."""


class AssrFolder:
    """A split as files in ASSR layout have it, see datasets.folder.Folder.

    Args:
      root: the folder.
      split: train, val or test.
      rank_field: the folder of the ranks, of several that the root may hold.
      num_ranks: how many ranks their values are of, ASSR's own 5.

    Raises FileNotFoundError where the list of the split, or these ranks, are not there, and
    ValueError for a list that cannot be read.
    """

    note = ""

    def __init__(
        self,
        root: str | os.PathLike | None,
        split: str,
        rank_field: str = layout.RANKS,
        num_ranks: int = NUM_RANKS,
    ):
        self.root, self.split = layout.require(root, split, rank_field), split
        self.arguments = {"rank_field": rank_field}
        if num_ranks != NUM_RANKS:
            self.arguments["num_ranks"] = num_ranks
        self._num_ranks = num_ranks
        self.ids = layout.read_ids(self.root, split)
        self._image = Finder(self.root / "images" / split, SUFFIXES)
        self._ranks = self._grey = None
        if layout.has_ranks(self.root, rank_field):
            self._ranks = Finder(self.root / rank_field / split, (".json",))
            self._grey = Finder(self.root / layout.maps_of(rank_field) / split, (".png",))
        self._objects, self._masks = {}, True

    def files(self) -> dict[str, pathlib.Path]:
        """All files that are read, by their role in the split."""
        found = {
            "list": layout.split_list(self.root, self.split),
            "objects": layout.annotations(self.root, self.split),
        }
        for role in ("image", "ranks", "grey"):
            find = getattr(self, f"_{role}")
            if find is not None:
                found |= {f"{role}/{image_id}": find(image_id) for image_id in self.ids}
        return found

    def read(self) -> None:
        """Reads the objects of all photographs."""
        self._objects = layout.read_objects(self.root, self.split)
        lists = (some for some in self._objects.values() if isinstance(some, list))
        self._masks = has_masks(one for some in lists for one in some)

    def photograph(self, image_id: str) -> Photograph:
        """What the files say of a photograph, after `read`."""
        where = str(layout.annotations(self.root, self.split))
        try:
            objects = self._objects[image_id]
        except KeyError as error:
            listed = layout.split_list(self.root, self.split)
            raise ValueError(f"{error.args[0]}, which {listed} lists") from None
        ranks = grey = None
        if self._ranks is not None:
            file, grey = self._ranks(image_id), self._grey(image_id)
            ranks, where = _read_ranks(file), f"{where} and {file}"
        return Photograph(
            self._image(image_id),
            objects,
            ranks,
            where,
            grey=grey,
            num_ranks=self._num_ranks,
            masks=self._masks,
        )


def builder(
    root: str | os.PathLike | None,
    split: str,
    *,
    cache_dir: str | os.PathLike | None = None,
    on_error: str = "raise",
    rank_field: str = layout.RANKS,
    num_ranks: int = NUM_RANKS,
) -> Assr:
    """The prepared builder of a split of a folder in ASSR layout, see folder.open_folder."""
    folder = AssrFolder(root, split, rank_field, num_ranks)
    return open_folder(Assr, folder, cache_dir=cache_dir, on_error=on_error)


def _read_ranks(file: pathlib.Path) -> list:
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist{what_lies_there(file)}")
    content = layout.read_json(file)
    if not isinstance(content, dict) or "rank_order" not in content:
        raise ValueError(f'{file}: expected {{"rank_order": [one value an object]}}')
    return content["rank_order"]
