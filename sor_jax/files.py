"""Files read in any editor's encoding and written whole or not at all; caches, locks, quiet."""

import codecs
import contextlib
import fcntl
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image


def cache_dir() -> pathlib.Path:
    """The folder for files that can be made again: $XDG_CACHE_HOME/sor_jax or ~/.cache/sor_jax."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "sor_jax"


@contextlib.contextmanager
def locked(path: pathlib.Path, *, wait: bool = True) -> Iterator[IO[str]]:
    """Holds a lock file, which is yielded; the system drops the lock with the process.

    Where another process holds it this waits for its end, or raises BlockingIOError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield file


@contextlib.contextmanager
def quiet(verbosity: int) -> Iterator[None]:
    """Holds back what libraries log by absl below a verbosity, such as logging.FATAL."""
    from absl import logging  # not needed where nobody logs

    before = logging.get_verbosity()
    logging.set_verbosity(verbosity)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def read_text(path: pathlib.Path) -> str:
    """A text in UTF-8, or in UTF-16 or -32 where it begins with their mark. Raises ValueError."""
    content = path.read_bytes()
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32"}
    marks |= {codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF16_LE: "utf-16"}
    marks |= {codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8 ({error}); save it as such") from error
    if "\0" in text:
        raise ValueError(f"{path}: not a text in UTF-8 (it holds zeros); save it as such")
    return text


def read_json(path: pathlib.Path):
    """The value of a JSON file; what is wrong with it is said under its name, as a ValueError."""
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error


def read_records(path: pathlib.Path, *fields: str) -> list[dict]:
    """The records of a .jsonl, one a line; none where the file is missing.

    What follows the last line's end, nothing or a line cut short, is dropped. Raises ValueError for
    a line that is no record with these fields.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    records = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not record.keys() >= set(fields):
            raise ValueError(
                f"{path}, line {number} is no JSON record{' with ' * bool(fields)}"
                f"{', '.join(fields)}: repair or remove the line"
            )
        records.append(record)
    return records


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Where to write a file: beside its place, where it is moved to at the end of the block.

    So it is never seen in part; after an error in the block nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename == os.fspath(partial):
            error.filename = os.fspath(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: pathlib.Path, content: bytes | str) -> None:
    """Writes bytes or text, see `whole`."""
    with whole(path) as partial:
        partial.write_bytes(content if isinstance(content, bytes) else content.encode())


def write_json(
    path: pathlib.Path, value, *, indent: int | None = 1, allow_nan: bool = True
) -> None:
    """Writes a value as a JSON file, see `whole`."""
    write_whole(path, json.dumps(value, indent=indent, allow_nan=allow_nan) + "\n")


def write_png(path: pathlib.Path, picture: np.ndarray | Image.Image) -> None:
    """Writes u8[h, w], u8[h, w, 3] or an image as PNG, see `whole`."""
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    write_whole(path, buffer.getvalue())


def write_arrays(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays as npz, see `whole`."""
    with whole(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
