"""Checkpoint files of others as arrays by name: one file a format, told apart by content."""

import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from sor_jax.convert.readers import npz, pickle_file, safetensors, torch_legacy, torch_zip
from sor_jax.convert.readers.errors import CheckpointError
from sor_jax.convert.readers.tensors import LazyArray

# Where training scripts keep the arrays among other things, the likeliest first.
_UNDER = ("model", "state_dict", "model_state_dict", "model_state", "blobs")
_PARALLEL = "module."  # torch puts this before every name of a model trained on several GPUs


class Checkpoint(NamedTuple):
    """A file's arrays.

    Attributes:
      path: the file.
      format: what kind of file it is, for people.
      arrays: name -> array, with numpy's dtypes (bfloat16 as float32).
    """

    path: pathlib.Path
    format: str
    arrays: dict[str, np.ndarray]


def read_checkpoint(path) -> Checkpoint:
    """Reads the weights in a file of any format that is known here; never runs a line of it.

    Raises:
      FileNotFoundError, CheckpointError: what is wrong with the file.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        reader = _reader(path)
        found = _arrays(reader, path)
    except (CheckpointError, PermissionError):
        raise
    except Exception as error:  # whatever a damaged file leads to, at this one place
        kind = type(error).__name__
        raise CheckpointError(f"{path} is damaged ({kind}: {error}); get it again") from error
    if all(name.startswith(_PARALLEL) for name in found):
        found = {name.removeprefix(_PARALLEL): array for name, array in found.items()}
    return Checkpoint(path, reader.NAME, found)


def _arrays(reader, path):
    with reader.opened(path) as saved:
        found = {
            str(name): leaf.array()
            for name, leaf in _weights(saved, path).items()
            if isinstance(leaf, LazyArray)
        }
    if not found:
        raise CheckpointError(f"{path}: {reader.NAME} without any array in it{_holding(saved)}")
    return found


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
    for reader in (torch_legacy, safetensors, pickle_file):
        if reader.recognises(head):
            return reader
    cut_off = ": a zip that is cut off; download it again" if head[:2] == b"PK" else ""
    page = ": a web page, not the file behind it" if head.lstrip()[:1] == b"<" else ""
    raise CheckpointError(
        f"{path} starts with {head[:16]!r}{cut_off or page}. Known formats: .pth (zip and legacy), "
        ".pkl, .safetensors, .npz"
    )


def _weights(saved, path):
    if not isinstance(saved, dict):
        raise CheckpointError(f"{path}: holds a {type(saved).__name__}; expected arrays by name")
    for key in _UNDER:
        if isinstance(saved.get(key), dict):
            return saved[key]
    return saved


def _holding(saved):
    return f"; it holds {', '.join(map(str, list(saved)[:8]))}" if saved else ""
