"""Finds what belongs to an image id in lists and folders whose writers named it a bit otherwise."""

import collections
import functools
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

from sor_jax.datasets.images import SUFFIXES

_NUMBER = re.compile(r"0*(\d+)(\.0*)?")


def composed(name: str) -> str:
    """With accents as parts of their letters (NFC); some systems store them as letters apart."""
    return unicodedata.normalize("NFC", name)


def canonical(name) -> str:
    """What is left of an id without an image file's ending, leading zeros and ".0".

    It is `composed`. Ids are text, or numbers as JSON and tables have them (100, 100.0). Raises
    ValueError for anything else.
    """
    if isinstance(name, bool) or not isinstance(name, str | int | float):
        raise ValueError(f"an image id is {name!r}; expected text or a number")
    name = without_suffix(composed(str(name)).strip())
    number = _NUMBER.fullmatch(name)
    return number[1] if number else name


def without_suffix(name: str) -> str:
    """An id without the ending of an image file."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and f"{dot}{suffix}".lower() in SUFFIXES else name


class ById(Mapping):
    """Entries by image id; an id that no entry has exactly takes the one of its `canonical` form.

    Args:
      entries: pairs (id as the file has it, entry).
      where: the file, for messages.

    Raises ValueError where two entries have one id, and KeyError with a message for an id that has
    none.
    """

    def __init__(self, entries: Iterable[tuple], where: str):
        self._where = where
        try:
            pairs = [(name if isinstance(name, str) else canonical(name), e) for name, e in entries]
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        self._entries = dict(pairs)
        if len(self._entries) < len(pairs):
            (often, times), *_ = collections.Counter(name for name, _ in pairs).most_common(1)
            raise ValueError(f"{where}: {often} has {times} entries; one is expected")
        self._loosely = collections.defaultdict(list)
        for name in self._entries:
            self._loosely[canonical(name)].append(name)

    def __getitem__(self, image_id: str):
        if image_id in self._entries:
            return self._entries[image_id]
        alike = self._loosely.get(canonical(image_id), [])
        if len(alike) == 1:
            return self._entries[alike[0]]
        there = f"{' and '.join(alike)} could be meant" if alike else f"it has {_some(self)}"
        raise KeyError(f"{self._where}: no entry for {image_id}; {there}")

    def __iter__(self):
        return iter(self._entries)

    def __len__(self):
        return len(self._entries)


class Finder:
    """Finds the file of an image id in a folder; lists the folder only where that takes it.

    Args:
      folder: where {id}{suffix} is expected, an id may hold "/".
      suffixes: what a file may end in, the likeliest first.
    """

    def __init__(self, folder: pathlib.Path, suffixes: tuple[str, ...]):
        self._folder, self._suffixes = folder, suffixes
        self._listed = functools.cache(self._list)

    def __call__(self, image_id: str) -> pathlib.Path:
        """The file; where there is none, or two could be meant, the one that is expected."""
        expected = self._folder / f"{image_id}{self._suffixes[0]}"
        if expected.exists():
            return expected
        exactly, loosely = self._listed(expected.parent)
        stem = image_id.rpartition("/")[2]
        for found in (exactly.get(stem, []), loosely.get(canonical(stem), [])):
            order = {suffix: place for place, suffix in enumerate(self._suffixes)}
            found = sorted(found, key=lambda file: order[file.suffix.lower()])
            if found and len({file.stem for file in found}) == 1:
                return found[0]
        return expected

    def _list(self, folder: pathlib.Path):
        exactly, loosely = collections.defaultdict(list), collections.defaultdict(list)
        if folder.is_dir():
            for file in sorted(folder.iterdir()):
                if file.suffix.lower() in self._suffixes:
                    exactly[file.stem].append(file)
                    loosely[canonical(file.stem)].append(file)
        return exactly, loosely


def what_lies_there(path: pathlib.Path) -> str:
    """Of a file that is not there: what its folder holds instead, to end a message with."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names, by_stem = _listing(path.parent, path.parent.stat().st_mtime_ns)
    alike = by_stem.get(canonical(path.stem), [])
    if path.is_symlink():
        return "; it is a link to a file that is gone"
    if alike:
        return f"; {', '.join(alike[:3])} is there"
    return f"; its folder holds {_some(names)}"


@functools.lru_cache(maxsize=4)
def _listing(folder: pathlib.Path, changed: int) -> tuple[list[str], dict[str, list[str]]]:
    """The names in a folder, and those of each canonical stem."""
    del changed  # a folder is listed anew after a change
    names = sorted(file.name for file in folder.iterdir())
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(canonical(pathlib.Path(name).stem), []).append(name)
    return names, by_stem


def _some(names: Iterable) -> str:
    names = list(names)
    if not names:
        return "nothing"
    return ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" if names[3:] else "")
