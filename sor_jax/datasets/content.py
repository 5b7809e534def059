"""A data set is known by its content: the digests of all files that are read from it."""

import concurrent.futures
import contextlib
import hashlib
import json
import os
import pathlib
import time
from collections.abc import Mapping

from sor_jax.datasets.prepare import progress
from sor_jax.files import write_json

MISSING = "missing"
_TOO_NEW = 2e9  # ns; a file may change again without a new time of change
_THREADS = 8


def fingerprint(
    files: Mapping[str, pathlib.Path], *, options: str, index: pathlib.Path, what: str
) -> str:
    """16 hexadecimal digits of the names and the bytes of files, wherever they lie.

    A name counts, a path does not, so a set that was copied or moved keeps its fingerprint, and one
    that was changed in place gets another. A file is read anew only after its size, inode or one
    of its times changed.

    Args:
      files: by their role in the set; one that does not exist counts as such.
      options: what else makes a difference.
      index: where the digests of files are kept between calls; a folder that cannot be written
        costs the time to read them all.
      what: how messages call these files.
    """
    known = _read(index)
    stats = {path: _stat(path) for path in files.values()}
    stale = [path for path, stat in stats.items() if stat and known.get(str(path), [])[:4] != stat]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        digests = progress(pool.map(_digest, stale), total=len(stale), what=f"reading {what}")
        found = dict(zip(stale, digests, strict=True))
    total = hashlib.sha256(options.encode())
    for name, path in sorted(files.items()):
        digest = found.get(path) or (known[str(path)][4] if stats[path] else MISSING)
        total.update(f"{name}\0{digest}\n".encode("utf-8", "surrogateescape"))
    now = time.time_ns()
    entries = {
        str(path): [*stat, found[path]]
        for path, stat in stats.items()
        if stat and path in found and now - max(stat[1:3]) > _TOO_NEW
    }
    if entries:
        with contextlib.suppress(OSError):  # a cache that can only be read
            write_json(index, known | entries, indent=None)
    return total.hexdigest()[:16]


def _stat(path: pathlib.Path) -> list[int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _digest(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:  # its record is refused, or left out, when it is prepared
        return f"unreadable: {os.strerror(error.errno or 0)}"


def _read(index: pathlib.Path) -> dict:
    try:
        known = json.loads(index.read_bytes())
        return {path: entry for path, entry in known.items() if len(entry) == 5}
    except (OSError, ValueError, TypeError, AttributeError):  # absent or damaged: it is made anew
        return {}
