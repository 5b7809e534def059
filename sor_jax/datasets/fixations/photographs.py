"""The photographs that ranks are made for, and their objects."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from sor_jax.datasets.assr import layout
from sor_jax.datasets.assr.builder import AssrFolder
from sor_jax.datasets.checks import XYXY
from sor_jax.datasets.coco.builder import CocoFolder
from sor_jax.datasets.folder import SPLITS, Folder
from sor_jax.datasets.images import SUFFIXES, decode_image
from sor_jax.datasets.names import Finder


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph in a file.

    Attributes:
      image_id: its name within the set.
      split: train, val or test.
      path: its file.
      objects: what the files have of each object: bbox and segmentation, polygons or RLE, in pixels
        of the photograph; None where a detector is to find them.
      source: what holds the objects, for messages.
      box_format: what the numbers of a bbox are, a name of checks.BOX_FORMATS.
    """

    image_id: str
    split: str
    path: pathlib.Path
    objects: list[dict] | None = None
    source: str = ""
    box_format: str = XYXY

    def photo_hw(self) -> tuple[int, int]:
        """(h, w) as people see it, turned as its EXIF tag says; decodes it. Raises ValueError."""
        try:
            height, width, _ = decode_image(self.path.read_bytes()).shape
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self.path} does not exist, but the objects name it"
            ) from None
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path}: not a readable image ({error})") from error
        return height, width


def holds_objects(root: pathlib.Path) -> bool:
    """Whether a folder has objects in ASSR layout or in COCO JSON."""
    return _format(root) is not None


def _format(root: pathlib.Path) -> type[Folder] | None:
    """The format of a folder's objects; None where it has none."""
    # A list of ids alone says nothing of objects, and may lie beside COCO JSON.
    if any(layout.annotations(root, split).is_file() for split in AssrFolder.splits_in(root)):
        return AssrFolder
    return CocoFolder if CocoFolder.splits_in(root) else None


def of_objects(root: pathlib.Path, images: pathlib.Path | None = None) -> list[Photograph]:
    """The photographs of a folder with objects in ASSR layout or in COCO JSON, whatever its ranks.

    `images` holds the photographs, as {split}/{id}.jpg or {id}.jpg; None is the root's own. Raises
    ValueError where the folder has no objects.
    """
    files = _format(root)
    if files is None:
        raise ValueError(f"{root} holds no objects, neither in ASSR layout nor as COCO JSON")
    found = []
    for split in files.splits_in(root):
        places = [images / "images" / split, images / split, images] if images else []
        finders = [Finder(place, SUFFIXES) for place in places]
        folder = files(root, split, rank_field="")
        folder.read()
        for image_id in folder.ids:
            one = folder.photograph(image_id)
            path = one.image if images is None else _find(finders, images, split, image_id)
            fields = one.objects, one.where, one.box_format
            found.append(Photograph(image_id, split, path, *fields))
    return found


def of_folder(folder: pathlib.Path) -> list[Photograph]:
    """The photographs of a folder, without objects: images/{split}/, {split}/ or a flat folder.

    Those of a flat folder are all of `train`, see `deal`. Raises ValueError.
    """
    for base in (folder / "images", folder):
        folders = {split: base / split for split in SPLITS if (base / split).is_dir()}
        if folders:
            break
    else:
        folders = {"train": folder}
    found = []
    for split, inside in folders.items():
        files = [file for file in sorted(inside.iterdir()) if file.suffix.lower() in SUFFIXES]
        found += [Photograph(file.stem, split, file) for file in files]
    if not found:
        raise ValueError(
            f"{folder}: holds no photograph ({', '.join(SUFFIXES)}), and neither do "
            f"{', '.join(SPLITS)} in it or in images/"
        )
    check_ids(found)
    return found


def deal(photographs: list[Photograph], shares: tuple[int, int, int], seed: int):
    """The photographs dealt at random to train, val and test by these shares, in the same order."""
    if min(shares) < 0 or not sum(shares):
        raise ValueError(
            f"shares are {shares}; expected three numbers of 0 or more, such as 80 10 10"
        )
    edges = np.round(np.cumsum(shares) / sum(shares) * len(photographs)).astype(int)
    drawn = np.random.default_rng(seed).permutation(len(photographs))
    split_of = np.empty(len(photographs), object)
    for split, part in zip(SPLITS, np.split(drawn, edges[:-1]), strict=True):
        split_of[part] = split
    return [
        dataclasses.replace(photograph, split=split)
        for photograph, split in zip(photographs, split_of, strict=True)
    ]


def check_ids(photographs: list[Photograph]) -> None:
    """Raises ValueError where two photographs of a split share an id."""
    owner: dict[tuple[str, str], pathlib.Path] = {}
    for photograph in photographs:
        key = photograph.split, photograph.image_id
        if key in owner:
            raise ValueError(
                f"{owner[key]} and {photograph.path} are both {photograph.image_id} in "
                f"{photograph.split}; rename one"
            )
        owner[key] = photograph.path


Detect = Callable[[Photograph], list[dict]]
"""Finds the objects of a photograph: bbox and segmentation as Photograph.objects."""


def _find(
    finders: Sequence[Finder], folder: pathlib.Path, split: str, image_id: str
) -> pathlib.Path:
    for find in finders:
        if (path := find(image_id)).is_file():
            return path
    raise FileNotFoundError(
        f"{folder}: no photograph {image_id} ({', '.join(SUFFIXES)}), in {split}/ neither"
    )
