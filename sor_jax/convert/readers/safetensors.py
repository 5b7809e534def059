"""safetensors, by its own package: a JSON header that says where each array lies, then the data."""

import contextlib
import struct

import ml_dtypes
import numpy as np
import safetensors

from sor_jax.convert.readers.tensors import CheckpointError, LazyArray

NAME = "safetensors"
_MOST = 100_000_000  # bytes of a header, as the format limits it


def recognises(head: bytes) -> bool:
    """Whether a file starts with the length of a header and a brace."""
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] <= _MOST


@contextlib.contextmanager
def opened(path):
    """Yields {name: LazyArray}; arrays can be read while it is open."""
    try:
        file = safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path} is cut off or damaged: {error}; get it again") from error
    with file:
        yield {name: _Array(file, name, str(path)) for name in file.keys()}  # noqa: SIM118


class _Array(LazyArray):
    __slots__ = ("_file", "_name", "_where")

    def __init__(self, file, name, where):
        self._file, self._name, self._where = file, name, where

    def array(self) -> np.ndarray:
        """The array; bfloat16, which numpy has not, becomes float32."""
        file, name = self._file, self._name
        try:
            array = file.get_tensor(name)
        except Exception as error:  # numpy has no such type: each lacks in its own way
            raise self._refusal() from error
        if array.dtype == ml_dtypes.bfloat16:
            return array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            raise self._refusal()
        return array

    def _refusal(self):
        kind = self._file.get_slice(self._name).get_dtype()
        return CheckpointError(
            f"{self._where}: {self._name} is of the type {kind}, which is not read; save it as "
            "float32"
        )
