"""Files that are written whole or not at all."""

import contextlib
import io
import json
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image


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
        np.savez(file, **arrays)
