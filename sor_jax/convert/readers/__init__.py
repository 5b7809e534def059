"""Checkpoint files of others as arrays by name: one file a format, told apart by content."""

import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from sor_jax.convert.readers import npz, pickled, safetensors, torch_legacy, torch_zip
from sor_jax.convert.readers.contents import weights_in
from sor_jax.convert.readers.strangers import shard, stranger
from sor_jax.convert.readers.tensors import CheckpointError


class Checkpoint(NamedTuple):
    """A file's arrays.

    Attributes:
      path: the file.
      format: what kind of file it is, for people.
      arrays: name -> array, with numpy's dtypes (bfloat16 as float32).
      key: what they are kept under in the file, "" where nothing else is in it.
      others: key -> number of arrays of other weights in the file.
    """

    path: pathlib.Path
    format: str
    arrays: dict[str, np.ndarray]
    key: str = ""
    others: dict[str, int] = {}  # noqa: RUF012


def read_checkpoint(path, *, prefer: str = "") -> Checkpoint:
    """Reads the weights in a file of any format that is known here; never runs a line of it.

    Args:
      path: the file.
      prefer: which weights of several in the file, see contents.weights_in.

    Raises:
      FileNotFoundError, CheckpointError: what is wrong with the file.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        names = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
        raise CheckpointError(f"{path} is a folder; name the file of weights in it: {names}")
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if told := shard(path):
        raise CheckpointError(told)
    try:
        reader = _reader(path)
        with reader.opened(path) as saved:
            key, found, others = weights_in(saved, prefer, f"{path}: {reader.NAME}")
            arrays = {name: leaf.array() for name, leaf in found.items()}
    except (CheckpointError, PermissionError):
        raise
    except Exception as error:  # whatever a damaged file leads to, at this one place
        kind = type(error).__name__
        raise CheckpointError(f"{path} is damaged ({kind}: {error}); get it again") from error
    return Checkpoint(path, reader.NAME, arrays, key, others)


def _reader(path):
    with open(path, "rb") as file:
        head = file.read(64)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
        for reader in (torch_zip, npz):
            if reader.recognises(names):
                return reader
        raise CheckpointError(f"{path}: a zip, but neither torch's nor numpy's: {names[:5]}")
    for reader in (torch_legacy, safetensors, pickled):
        if reader.recognises(head):
            return reader
    what = stranger(path, head)
    raise CheckpointError(
        f"{path} is {what}"
        if what
        else f"{path} starts with {head[:16]!r}, which is of no known "
        "format. Known formats: .pth (zip and legacy), .pkl, .safetensors, .npz"
    )
