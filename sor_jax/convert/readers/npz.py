"""numpy's .npz."""

import contextlib

import numpy as np

from sor_jax.convert.readers.tensors import CheckpointError, LazyArray

NAME = "npz"


def recognises(names: list[str]) -> bool:
    """Whether a zip with these members is numpy's."""
    return bool(names) and all(name.endswith(".npy") for name in names)


@contextlib.contextmanager
def opened(path):
    """Yields {name: LazyArray}; arrays can be read while it is open."""
    with np.load(path, allow_pickle=False) as file:
        yield {name: _Array(file, name, str(path)) for name in file.files}


class _Array(LazyArray):
    __slots__ = ("_file", "_name", "_where")

    def __init__(self, file, name, where):
        self._file, self._name, self._where = file, name, where

    def array(self) -> np.ndarray:
        """The array; one of objects, which would have to be unpickled, is refused."""
        try:
            return self._file[self._name]
        except ValueError as error:
            raise CheckpointError(f"{self._where}: {self._name}: {error}") from error
