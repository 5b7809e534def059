"""safetensors: a JSON header that says where each array lies, then the arrays, little endian."""

import contextlib
import json
import math
import mmap
import struct

import numpy as np

from sor_jax.convert.readers.errors import CheckpointError
from sor_jax.convert.readers.tensors import BFLOAT16, LazyArray, decode, item_size

NAME = "safetensors"
_MOST = 100_000_000  # bytes of a header, as the format limits it
_DTYPES = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": BFLOAT16,
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


def recognises(head: bytes) -> bool:
    """Whether a file starts with the length of a header and a brace."""
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack_from("<Q", head)[0] <= _MOST


@contextlib.contextmanager
def opened(path):
    """Yields {name: LazyArray}; arrays can be read while it is open."""
    where = str(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        (length,) = struct.unpack_from("<Q", data)
        try:
            header = json.loads(data[8 : 8 + length])
        except ValueError as error:
            raise CheckpointError(f"{where}: its header is damaged: {error}") from error
        header.pop("__metadata__", None)
        yield {name: _Array(data, 8 + length, name, facts, where) for name, facts in header.items()}


class _Array(LazyArray):
    __slots__ = ("_data", "_start", "_facts", "_called")

    def __init__(self, data, start, name, facts, where):
        self._data, self._start, self._facts = data, start, facts
        self._called = f"{where}: {name}"

    def array(self) -> np.ndarray:
        """As of LazyArray."""
        try:
            dtype, shape = self._facts["dtype"], self._facts["shape"]
            begin, end = self._facts["data_offsets"]
            code = _DTYPES[dtype]
            needed = math.prod(shape) * item_size(code)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self._called} is described as {self._facts!r}; expected one of the types "
                f"{', '.join(_DTYPES)}, a shape and two offsets"
            ) from error
        if end - begin != needed or begin < 0 or self._start + end > len(self._data):
            raise CheckpointError(
                f"{self._called} of shape {shape} and type {dtype} lies at {begin}..{end}, "
                f"expected {needed} bytes inside the file: it is cut off or damaged"
            )
        raw = self._data[self._start + begin : self._start + end]
        return decode(raw, code).reshape(shape)
