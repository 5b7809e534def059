"""Opens fixations and densities by the format of their file or folder."""

import pathlib
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from sor_jax.datasets.fixations import maps, tables
from sor_jax.datasets.fixations.looks import Looks
from sor_jax.files import read_json


class FixationSource:
    """Fixations by photograph, read when asked for.

    A .json file is read as OSIE's scanpaths or as points of all people together, a .csv or .tsv
    file as a table, a folder as SALICON's .mat files or as maps, one a photograph.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        if path.is_dir():
            mats = maps.files_in(path, (".mat",))
            self._entries: dict[str, Any] = _by_id(mats or maps.files_in(path, maps.PICTURES), path)
            self.format = "mat" if mats else "map"
        elif path.suffix.lower() == ".json":
            self._entries, self.format = tables.by_image(read_json(path), path), "json"
        elif path.suffix.lower() in (".csv", ".tsv", ".txt"):
            self._entries, self.format = tables.read_csv(path), "csv"
        elif not path.exists():
            raise FileNotFoundError(f"{path} does not exist; fixations are expected there")
        else:
            raise ValueError(
                f"{path}: fixations are a .json or .csv file, or a folder of .mat or .png files"
            )
        if self.format in ("json", "csv"):
            self._check_unit()

    def ids(self) -> set[str]:
        """The photographs that have fixations."""
        return set(self._entries)

    def of(self, image_id: str, photo_hw: tuple[int, int]) -> Looks:
        """The fixations of a photograph of this size. Raises ValueError with the file."""
        entry = self._entries[image_id]
        if self.format == "csv":
            return entry
        if self.format == "json":
            where = f"{self.path}, {image_id}"
            try:
                looks, stated = tables.looks_of_entry(entry), tables.size_of_entry(entry)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        else:
            where = str(entry)
            read = maps.read_mat if self.format == "mat" else maps.read_fixation_map
            looks, stated = read(entry)
        if stated not in (None, photo_hw):
            raise ValueError(
                f"{where}: the fixations are of a photograph of {stated} (h, w), but it is "
                f"{photo_hw}; scale them, or give the photographs that people saw"
            )
        return looks

    def _check_unit(self) -> None:
        """Raises ValueError where every x and y is a fraction."""
        largest = 0.0
        for image_id, entry in self._entries.items():
            if self.format == "json":
                try:
                    entry = tables.looks_of_entry(entry)
                except ValueError as error:
                    raise ValueError(f"{self.path}, {image_id}: {error}") from error
            largest = max(largest, float(entry.xy.max(initial=0.0)))
        if 0 < largest <= 1:
            raise ValueError(
                f"{self.path}: no x or y is above {largest:g}; pixels of the photographs are "
                "expected, not fractions of their sides"
            )


class DensitySource:
    """Smoothed maps of fixations, one grey picture a photograph."""

    def __init__(self, folder: pathlib.Path):
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is no folder; a density map a photograph is expected"
            )
        self._entries = _by_id(maps.files_in(folder, maps.PICTURES), folder)

    def ids(self) -> set[str]:
        """The photographs that have a density."""
        return set(self._entries)

    def of(self, image_id: str, photo_hw: tuple[int, int]) -> np.ndarray:
        """f64[h, w], see `maps.read_density`."""
        return maps.read_density(self._entries[image_id], photo_hw)


def match(wanted: Iterable[str], there: set[str], *, by_number: bool) -> dict[str, str]:
    """Which of the ids that are there belongs to each wanted one; those without one are left out.

    Ids are equal, or with `by_number` the last digits in them are: COCO's 000000000009 and
    COCO_train2014_000000000009. Raises ValueError where a number is there twice.
    """
    if not by_number:
        return {image_id: image_id for image_id in wanted if image_id in there}
    numbers: dict[int, str] = {}
    for image_id in sorted(there):
        number = _number(image_id)
        if number in numbers:
            raise ValueError(f"{numbers[number]} and {image_id} both have the number {number}")
        if number is not None:
            numbers[number] = image_id
    return {image_id: numbers[n] for image_id in wanted if (n := _number(image_id)) in numbers}


def _number(image_id: str) -> int | None:
    digits = re.findall(r"\d+", image_id)
    return int(digits[-1]) if digits else None


def _by_id(files: list[pathlib.Path], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    found: dict[str, pathlib.Path] = {}
    for file in files:
        if file.stem in found:
            raise ValueError(f"{found[file.stem]} and {file} are both of {file.stem}; remove one")
        found[file.stem] = file
    if not found:
        raise ValueError(
            f"{folder}: holds no file for a photograph (.mat or {', '.join(maps.PICTURES)}), and "
            "neither do train, val, test in it"
        )
    return found
