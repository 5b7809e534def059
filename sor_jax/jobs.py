"""Which photographs are ranked, and where their results go."""

import argparse
import dataclasses
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".ppm")
KINDS = ("picture", "json", "masks", "cutouts", "map", "crop")
_OURS = re.compile(r"\.(ranked|map|crop-[0-9.]+x[0-9.]+)\.\w+$")
_OUR_FOLDERS = (".masks", ".cutouts")


@dataclasses.dataclass(frozen=True)
class Shard:
    """The index-th (from 1) of `count` parts of a list."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "3/16"."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(*(int(number) for number in match.groups())) if match else cls(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise argparse.ArgumentTypeError(
                f"{text!r}; expected I/N with 1 <= I <= N, such as 3/16"
            )
        return shard


class Job(NamedTuple):
    """A photograph and the path that its results begin with."""

    source: pathlib.Path
    stem: pathlib.Path

    def path(self, kind: str, crop: str | None = None) -> pathlib.Path:
        """Where the result of a kind goes; masks and cutouts are folders of 1.png, 2.png, .."""
        aspect = (crop or "").replace(":", "x")
        ending = {
            "picture": ".ranked.png",
            "json": ".ranked.json",
            "masks": ".masks",
            "cutouts": ".cutouts",
            "map": ".map.png",
            "crop": f".crop-{aspect}.jpg",
        }[kind]
        return self.stem.with_name(self.stem.name + ending)

    def is_done(self, kinds: Sequence[str], crop: str | None) -> bool:
        """Whether all these results are there and no older than the photograph."""
        try:
            changed = self.source.stat().st_mtime
            return bool(kinds) and all(
                self.path(kind, crop).stat().st_mtime >= changed for kind in kinds
            )
        except OSError:
            return False


def find_jobs(
    sources: Iterable[str | os.PathLike],
    *,
    out: str | os.PathLike | None = None,
    shard: Shard | None = None,
) -> list[Job]:
    """The photographs of files and folders, in the order of their paths within each, no one twice.

    Args:
      sources: files, taken as they are; and folders, from which files with an image's ending are
        taken, with all sub-folders, but hidden ones and results of this program.
      out: the folder for results, which repeats the sub-folders; None is beside each photograph.
      shard: which part of them; the same list gives parts that make up the whole.

    Raises:
      FileNotFoundError: a source is not there.
      ValueError: a folder holds no photograph, or two photographs would write the same files.
    """
    found: dict[pathlib.Path, pathlib.Path] = {}  # source -> its folder within `out`
    for source in map(pathlib.Path, sources):
        if source.is_dir():
            inside = list(_in_folder(source))
            if not inside:
                raise ValueError(f"{source} holds no photograph ({', '.join(ENDINGS)})")
            found |= {path: path.parent.relative_to(source) for path in inside if path not in found}
        elif source.exists():
            found.setdefault(source, pathlib.Path())
        else:
            raise FileNotFoundError(f"{source}: there is no such file or folder")
    root = None if out is None else pathlib.Path(out)
    folders = {path: path.parent if root is None else root / inner for path, inner in found.items()}
    times = Counter(folders[path] / path.stem for path in found)
    # a.jpg and a.png keep their endings: a.jpg.ranked.png, a.png.ranked.png
    jobs = [
        Job(path, place / (path.stem if times[place / path.stem] == 1 else path.name))
        for path, place in folders.items()
    ]
    for stem, count in Counter(job.stem for job in jobs).items():
        if count > 1:
            same = [str(job.source) for job in jobs if job.stem == stem]
            raise ValueError(
                f"{same[0]} and {same[1]} would both write {stem}.*: give the folder that holds "
                "both, or another --out for each"
            )
    return jobs if shard is None else jobs[shard.index - 1 :: shard.count]


def _in_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not name.endswith(_OUR_FOLDERS)
        )
        for name in sorted(files):
            is_photograph = name.lower().endswith(ENDINGS) and not name.startswith(".")
            if is_photograph and not _OURS.search(name):
                yield pathlib.Path(path) / name
