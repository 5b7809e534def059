"""IRSR (Liu et al., "Instance-Level Relative Saliency Ranking with Graph Reasoning", TPAMI 2021).

Annotations/{split}.pkl            [{"file_name", "rank": [..], "annotations": [{"bbox",
                                   "segmentation"}]}], bbox x y width height
Images/{split}/rgb/NAME.jpg        the photographs (or image/)
Images/{split}/gt/NAME.png         their rank maps

A rank of 0 or more is an object's, a larger one more salient; below 0 an object has none.
"""

import os
import pathlib
from collections.abc import Sequence

from sor_jax.datasets.checks import XYWH
from sor_jax.datasets.coco.ranks import rank_order
from sor_jax.datasets.example import AnnotatedPhotograph
from sor_jax.datasets.folder import Folder, FolderBuilder, given
from sor_jax.datasets.images import SUFFIXES
from sor_jax.datasets.masks import is_numbers
from sor_jax.datasets.names import Finder, without_suffix
from sor_jax.metrics.sor import NUM_RANKS
from sor_jax.pickles import load_plain

MOST_OBJECTS = 8
"""Photographs with more are left out of training, as in the authors' code."""


class IrsrFolder(Folder):
    """A split as IRSR's files have it, see datasets.folder.Folder.

    Args:
      root: the folder with Annotations and Images.
      split: train or test.
      num_ranks: of the model; all salient objects are ranked all the same, however many.
    """

    NAME = "IRSR"
    SPLITS: tuple[str, ...] = ("train", "test")
    MOST: float = MOST_OBJECTS

    def __init__(self, root: str | os.PathLike | None, split: str, num_ranks: int = NUM_RANKS):
        self.root, self.split = self._require(root, split), split
        self.arguments, self._num_ranks = {"num_ranks": num_ranks}, num_ranks
        found = {}
        for index, entry in enumerate(self._read()):
            name, objects = self._field(entry, index, "file_name", str), self._objects(entry, index)
            image_id = without_suffix(name.replace("\\", "/").rpartition("/")[2])
            if not image_id or image_id in found:
                raise ValueError(f"{self._file()}: entry {index} has the file_name {name!r} again")
            found[image_id] = objects
        crowded = [i for i, one in found.items() if split == "train" and len(one[0]) > self.MOST]
        self._found = {name: one for name, one in found.items() if name not in set(crowded)}
        if crowded:
            self.note = (
                f"{len(crowded)} photographs with more than {self.MOST} objects are left out of "
                "training, as in the authors' code"
            )
        self.ids = list(self._found)
        folders = self._images()
        self.lists = {"objects": self._file()}
        self.finders = {"image": Finder(folders["rgb"], SUFFIXES)}
        if folders["gt"].is_dir():
            self.finders["grey"] = Finder(folders["gt"], (".png",))

    def photograph(self, image_id: str) -> AnnotatedPhotograph:
        """What the files say of a photograph."""
        objects, ranks, photo_hw = self._found[image_id]
        where = str(self._file())
        try:
            values, num_ranks = _values(objects, ranks, self._num_ranks)
        except ValueError as error:
            raise ValueError(f"{where}, record {image_id}: {error}") from error
        return AnnotatedPhotograph(
            self.finders["image"](image_id),
            objects,
            values,
            where,
            grey=self.finders["grey"](image_id) if "grey" in self.finders else None,
            box_format=XYWH,
            photo_hw=photo_hw,
            num_ranks=num_ranks,
            known_greys=False,
        )

    def _file(self) -> pathlib.Path:
        return self.list_of(self.root, self.split)

    @staticmethod
    def list_of(root: pathlib.Path, split: str) -> pathlib.Path:
        """The annotations of a split."""
        return root / "Annotations" / f"{split}.pkl"

    def _images(self) -> dict[str, pathlib.Path]:
        """The folders of photographs and of rank maps."""
        base = self.root / "Images" / self.split
        rgb = base / "image" if (base / "image").is_dir() else base / "rgb"
        return {"rgb": rgb, "gt": base / "gt"}

    def _read(self) -> list:
        with self._file().open("rb") as file:
            return self._entries(load_plain(file, where=str(self._file())))

    def _objects(self, entry: dict, index: int) -> tuple[list, list, tuple[int, int] | None]:
        """The objects of an entry, their ranks, and (height, width) where the file says it."""
        objects = self._field(entry, index, "annotations", list)
        return objects, self._field(entry, index, "rank", list), None

    def _entries(self, content) -> list:
        if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
            raise ValueError(f"{self._file()}: expected a list of photographs, each a dict")
        if not content:
            raise ValueError(f"{self._file()}: lists no photograph")
        return content

    def _field(self, entry: dict, index: int, name: str, wanted: type):
        value = entry.get(name)
        if not isinstance(value, wanted):
            found = type(value).__name__ if name in entry else "nothing"
            raise ValueError(
                f"{self._file()}: entry {index} has {found} for {name!r}; expected "
                f"{wanted.__name__}"
            )
        return value

    def _require(self, root, split) -> pathlib.Path:
        root = given(root, f"data/README.md shows how {self.NAME}'s folder must look")
        if split not in self.SPLITS:
            raise ValueError(f"{self.NAME} has no split {split!r}, only {', '.join(self.SPLITS)}")
        if not self.list_of(root, split).is_file():
            raise FileNotFoundError(
                f"{self.list_of(root, split)} does not exist; data/README.md shows how "
                f"{self.NAME}'s folder must look"
            )
        return root


class Irsr(FolderBuilder):
    """Photographs with object masks of which all salient ones are ranked, from IRSR's files."""

    FOLDER = IrsrFolder


def _values(objects: list, ranks: Sequence, num_ranks: int) -> tuple[list[float], int]:
    """Rank values of all salient objects, and how many ranks these are of."""
    if len(ranks) != len(objects):
        raise ValueError(f"{len(objects)} objects but {len(ranks)} ranks; one each is expected")
    if any(rank is None for rank in ranks):
        raise ValueError(f"object {list(ranks).index(None)} has no rank; -1 is that of none")
    salient = [None if is_numbers([rank]) and rank < 0 else rank for rank in ranks]
    num_ranks = max(num_ranks, sum(rank is not None for rank in salient))
    return rank_order(salient, "scores", "rank", num_ranks).tolist(), num_ranks
