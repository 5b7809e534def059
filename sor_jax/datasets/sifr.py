"""SIFR (Deng et al., "Advancing Saliency Ranking with Human Fixations", CVPR 2024).

{split}/{split}_annotations.json   [{"file_name", "image_id", "height", "width", "annotations":
                                   [{"bbox", "segmentation", "gt_rank"}]}], bbox x y width height
{split}/rgb/FILE                   the photographs
{split}/gt/NAME.png                their rank maps

Ranks are as in IRSR; no photograph is left out of training for its number of objects.
"""

import math
import pathlib

from sor_jax.datasets.folder import FolderBuilder
from sor_jax.datasets.irsr import IrsrFolder
from sor_jax.files import read_json


class SifrFolder(IrsrFolder):
    """A split as SIFR's files have it, see IrsrFolder; `root` holds train/, val/ and test/."""

    NAME, SPLITS, MOST = "SIFR", ("train", "val", "test"), math.inf

    @staticmethod
    def list_of(root: pathlib.Path, split: str) -> pathlib.Path:
        """The annotations of a split."""
        return root / split / f"{split}_annotations.json"

    def _images(self) -> dict[str, pathlib.Path]:
        return {name: self.root / self.split / name for name in ("rgb", "gt")}

    def _read(self) -> list:
        return self._entries(read_json(self._file()))

    def _objects(self, entry: dict, index: int):
        objects = self._field(entry, index, "annotations", list)
        sides = (self._field(entry, index, name, int) for name in ("height", "width"))
        ranks = [one.get("gt_rank") if isinstance(one, dict) else None for one in objects]
        return objects, ranks, tuple(sides)


class Sifr(FolderBuilder):
    """Photographs with object masks of which all salient ones are ranked, from SIFR's files."""

    FOLDER = SifrFolder
