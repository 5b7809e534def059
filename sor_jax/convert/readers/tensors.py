"""Arrays that a file describes before their bytes are read.

A torch file lists its tensors first: each is a window (offset, size, strides) on a storage, a flat
run of numbers that several tensors may share. Reading waits until the wanted tensors are known.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from sor_jax.pickles import LazyArray, UnreadableError

CheckpointError = UnreadableError
"""A checkpoint cannot be read, or must not be; says which file, what is wrong, what to do."""

BFLOAT16 = "bfloat16"  # numpy has none: read as float32, which holds every bfloat16 exactly
# By the name of torch's dtype, and by that of the storage class.
TORCH_DTYPES = {
    "float32": "f4",
    "float64": "f8",
    "float16": "f2",
    "bfloat16": BFLOAT16,
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint8": "u1",
    "bool": "?",
}
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "UntypedStorage": "",  # bytes; the tensor says what they are
}


@dataclasses.dataclass(frozen=True)
class Storage:
    """A flat run of numbers.

    Attributes:
      code: numpy's code of the element type, BFLOAT16, or "" for bytes.
      count: elements.
      read: returns the bytes.
      byteorder: "<" or ">".
    """

    code: str
    count: int
    read: Callable[[], bytes]
    byteorder: str = "<"

    def flat(self, code: str, where: str) -> np.ndarray:
        """All elements, as the type `code`."""
        raw = self.read()
        needed = self.count * item_size(self.code)
        if len(raw) < needed:
            raise CheckpointError(f"{where}: a storage has {len(raw)} bytes, expected {needed}")
        return decode(memoryview(raw)[:needed], code, self.byteorder)


class Tensor(LazyArray):
    """A window on a storage."""

    __slots__ = ("_code", "_offset", "_size", "_storage", "_stride", "_where")

    def __init__(self, storage: Storage, offset, size, stride, *, where: str, code: str = ""):
        self._storage, self._offset = storage, offset
        self._size, self._stride = size, stride
        self._code, self._where = code or storage.code, where

    def array(self) -> np.ndarray:
        """The array; raises CheckpointError where the window reaches beyond its storage."""
        if not self._code:
            raise CheckpointError(f"{self._where}: a tensor does not say its type")
        flat = self._storage.flat(self._code, self._where)
        return window(flat, self._offset, self._size, self._stride, where=self._where)


def window(flat: np.ndarray, offset, size, stride, *, where: str) -> np.ndarray:
    """The array of shape `size` whose element steps, in elements of `flat`, are `stride`."""
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise CheckpointError(
            f"{where}: a tensor has offset {offset!r}, size {size!r} and strides {stride!r}"
        )
    if math.prod(size) == 0:
        return np.zeros(size, flat.dtype)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if last >= flat.size:
        raise CheckpointError(
            f"{where}: a tensor of size {tuple(size)} and strides {tuple(stride)} at {offset} "
            f"reaches beyond its storage of {flat.size} elements"
        )
    steps = [step * flat.itemsize for step in stride]
    view = np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=False)
    return np.ascontiguousarray(view).reshape(size)


def decode(raw, code: str, byteorder: str = "<") -> np.ndarray:
    """Bytes -> a flat array in native byte order; bfloat16 becomes float32."""
    if code == BFLOAT16:
        halves = np.frombuffer(raw, byteorder + "u2").astype(np.uint32)
        return (halves << 16).view(np.float32)
    array = np.frombuffer(raw, np.dtype(byteorder + np.dtype(code).str[1:]))
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def item_size(code: str) -> int:
    """Bytes of one element."""
    return {BFLOAT16: 2, "": 1}.get(code) or np.dtype(code).itemsize
