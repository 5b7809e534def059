"""Whether a checkpoint's files still are what was written: their names, sizes and check sums."""

import json
import os
import pathlib
import zlib

FILE = "files.json"


def write_manifest(folder: pathlib.Path) -> None:
    """Lists the files of a whole checkpoint in it, as FILE."""
    files = {name: [path.stat().st_size, _check_sum(path)] for name, path in _files(folder).items()}
    part = folder / f"{FILE}.part"
    with part.open("w") as file:
        json.dump(files, file, indent=0)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / FILE)


def find_damage(folder: pathlib.Path) -> str | None:
    """What is wrong with the files of a checkpoint; None if nothing is, or no list says."""
    if not has_manifest(folder):
        return None
    try:
        expected = json.loads((folder / FILE).read_text())
    except ValueError:
        return f"{FILE} is not JSON"
    found = _files(folder)
    for name, (size, check_sum) in expected.items():
        if name not in found:
            return f"{name} is missing"
        actual = found[name].stat().st_size
        if actual != size:
            return f"{name} has {actual} bytes, not {size}"
        if _check_sum(found[name]) != check_sum:
            return f"{name} does not have the content that was written"
    return None


def has_manifest(folder: pathlib.Path) -> bool:
    """Whether a checkpoint has a list; one whose writer was killed right behind it has none."""
    return (folder / FILE).is_file()


def _files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in named.items() if name.split(".part")[0] != FILE}


def _check_sum(path: pathlib.Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value
