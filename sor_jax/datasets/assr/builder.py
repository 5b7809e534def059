"""TFDS builder: a split of any folder in ASSR layout -> ArrayRecord files."""

import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from sor_jax.datasets.assr import layout
from sor_jax.datasets.example import AnnotatedPhotograph, has_masks
from sor_jax.datasets.folder import Folder, FolderBuilder, open_folder
from sor_jax.datasets.images import SUFFIXES
from sor_jax.datasets.names import Finder, what_lies_there
from sor_jax.metrics.sor import NUM_RANKS


class AssrFolder(Folder):
    """A split as files in ASSR layout have it, see datasets.folder.Folder.

    Args:
      root: the folder.
      split: train, val or test.
      rank_field: the folder of the ranks, of several that the root may hold; "" for none of them.
      num_ranks: how many ranks their values are of, ASSR's own 5.

    Raises FileNotFoundError where the list of the split, or these ranks, are not there, and
    ValueError for a list that cannot be read.
    """

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
        self.lists = {
            "list": layout.split_list(self.root, split),
            "objects": layout.annotations(self.root, split),
        }
        self.finders = {"image": Finder(self.root / "images" / split, SUFFIXES)}
        if rank_field and layout.has_ranks(self.root, rank_field):
            maps = self.root / layout.maps_of(rank_field) / split
            self.finders["ranks"] = Finder(self.root / rank_field / split, (".json",))
            self.finders["grey"] = Finder(maps, (".png",))
        self._objects: Mapping[str, Any] = {}
        self._masks = True

    list_of = staticmethod(layout.split_list)

    def read(self) -> None:
        """Reads the objects of all photographs."""
        self._objects = layout.read_objects(self.root, self.split)
        lists = (some for some in self._objects.values() if isinstance(some, list))
        self._masks = has_masks(one for some in lists for one in some)

    def photograph(self, image_id: str) -> AnnotatedPhotograph:
        """What the files say of a photograph, after `read`."""
        where = str(self.lists["objects"])
        try:
            objects = self._objects[image_id]
        except KeyError as error:
            raise ValueError(f"{error.args[0]}, which {self.lists['list']} lists") from None
        files = {role: find(image_id) for role, find in self.finders.items()}
        ranks = None
        if "ranks" in files:
            ranks, where = _read_ranks(files["ranks"]), f"{where} and {files['ranks']}"
        return AnnotatedPhotograph(
            files["image"],
            objects,
            ranks,
            where,
            grey=files.get("grey"),
            num_ranks=self._num_ranks,
            masks=self._masks,
        )


class Assr(FolderBuilder):
    """Photographs with object masks of which up to five are ranked, from files in ASSR layout."""

    FOLDER = AssrFolder


builder = functools.partial(open_folder, Assr)


def _read_ranks(file: pathlib.Path) -> list:
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist{what_lies_there(file)}")
    content = layout.read_json(file)
    if not isinstance(content, dict) or "rank_order" not in content:
        raise ValueError(f'{file}: expected {{"rank_order": [one value an object]}}')
    return content["rank_order"]
