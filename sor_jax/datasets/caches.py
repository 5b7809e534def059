"""What lies in the cache of prepared records, and which of it nothing uses any more."""

import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from sor_jax.datasets.folder import content_of
from sor_jax.datasets.prepare import LocalBuilder, about, damage, default_cache_dir
from sor_jax.datasets.scenes import Scenes
from sor_jax.datasets.source import FORMATS


class Cache(NamedTuple):
    """A folder of prepared records.

    Attributes:
      path: the folder.
      num_bytes: of its files.
      used_by: the folders that it holds the records of; "drawn" for scenes.
      why_not: why nothing uses it; "" where something does.
    """

    path: pathlib.Path
    num_bytes: int
    used_by: tuple[str, ...]
    why_not: str


def caches(cache_dir: str | os.PathLike | None = None) -> Iterator[Cache]:
    """All prepared records, whole or not; None is `prepare.default_cache_dir()`.

    Whether a folder still has the content that was prepared is seen by reading its files.
    """
    cache_dir = pathlib.Path(cache_dir or default_cache_dir()).expanduser()
    builders: tuple[type[LocalBuilder], ...] = (*FORMATS.values(), Scenes)
    for cls in builders:
        for state in sorted(cache_dir.glob(f"{cls.name}/*/")):
            for path in sorted(state.iterdir()):
                if path.is_dir():
                    used_by, why_not = _users(cls, path, cache_dir)
                    yield Cache(path, _num_bytes(path), used_by, why_not)


def remove(cache: Cache) -> None:
    """Deletes the records, and the folder around them when that is empty then."""
    shutil.rmtree(cache.path)
    state = cache.path.parent
    if not any(state.iterdir()):
        state.rmdir()


def _users(cls, path: pathlib.Path, cache_dir: pathlib.Path) -> tuple[tuple[str, ...], str]:
    if path.name != str(cls.VERSION):
        is_part = path.name.startswith("incomplete.")
        return (), "a preparation that was cut off" if is_part else "of another version"
    why_not = damage(path)
    if why_not is not None:
        return (), why_not or "empty"
    known = about(path)
    if cls is Scenes:
        return ("drawn",), ""
    used_by: list[str] = []
    changed: list[str] = []
    for root in known["roots"]:
        try:
            folder = cls.FOLDER(root, known["split"], **known["arguments"])
            is_same = content_of(folder, cache_dir=cache_dir) == known["content"]
        except (OSError, ValueError):
            is_same = False
        (used_by if is_same else changed).append(root)
    if used_by:
        return tuple(used_by), ""
    return (), "; ".join(
        f"{root} {'has changed' if os.path.isdir(root) else 'is gone'}" for root in changed
    ) or "no folder is known to use it"


def _num_bytes(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
