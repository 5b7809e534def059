"""An unpickler that builds arrays, numbers, text, lists and dicts, and nothing else.

A pickle is a program: it may ask for any class or function by name and call it. This one hands out
none but the stand-ins below, which only take notes; any other name ends the reading with an error
that says it. So a pickle can waste memory, but it runs nothing.
"""

import pickle

import numpy as np

from sor_jax.convert.readers.errors import CheckpointError
from sor_jax.convert.readers.tensors import (
    STORAGES,
    TORCH_DTYPES,
    LazyArray,
    Storage,
    Tensor,
    decode,
)

_NUMPY_KINDS = "fiub"  # floats, integers, booleans


def load(file, *, where: str, storage=None):
    """Reads one pickle from a binary file, leaving it behind the pickle.

    Args:
      file: open for reading.
      where: what errors call it.
      storage: for torch's files, (storage class's element code, everything else that the file
        says of a storage) -> Storage.

    Returns:
      Dicts, lists, tuples, text and numbers; each array as a LazyArray.
    """
    return _Unpickler(file, where, storage).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, where, storage):
        super().__init__(file, encoding="latin1")  # numpy arrays that Python 2 wrote
        self._where, self._storage = where, storage

    def find_class(self, module, name):
        if (module, name) in _STANDINS:
            return _Call(_STANDINS[module, name], self._where)
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return _Note(STORAGES[name])
        if module == "torch" and name in TORCH_DTYPES:
            return _Note(TORCH_DTYPES[name])
        raise CheckpointError(
            f"{self._where}: its pickle asks for {module}.{name}, which is refused: only arrays, "
            "numbers, text, lists and dicts are read, and nothing of it was run. If you trust the "
            "file, load it where it was written and save its state_dict alone"
        )

    def persistent_load(self, pid):
        if self._storage is None or not isinstance(pid, tuple) or pid[0] != "storage":
            raise CheckpointError(f"{self._where}: its pickle refers to {str(pid)[:80]!r} outside")
        kind, *rest = pid[1:]
        if not isinstance(kind, _Note):
            raise CheckpointError(f"{self._where}: a storage is of the type {str(kind)[:80]!r}")
        return self._storage(kind.text, *rest)


class _Sealed:
    """What a pickle may hold in its hands but not change."""

    __slots__ = ()

    def __setstate__(self, state):
        raise CheckpointError("the pickle changes something that it must not")


class _Note(_Sealed):
    """A name that only means something to other stand-ins."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text


class _Call(_Sealed):
    """A stand-in for a function or a class, to be called by the pickle."""

    __slots__ = ("_function", "_where")

    def __init__(self, function, where):
        self._function, self._where = function, where

    def __call__(self, *args):
        return self._function(self._where, *args)


class _Dict(dict):
    """An OrderedDict's stand-in; torch hangs notes on the version of each layer on it."""

    def __setstate__(self, state):
        pass


class _NumpyDtype:
    """A dtype of plain numbers."""

    __slots__ = ("dtype", "where")

    def __init__(self, where, text, *_):
        dtype = np.dtype(text) if isinstance(text, str) else None
        if dtype is None or dtype.kind not in _NUMPY_KINDS:
            raise CheckpointError(f"{where}: an array is of the type {text!r}; expected numbers")
        self.dtype, self.where = dtype, where

    def __setstate__(self, state):
        self.dtype = self.dtype.newbyteorder({"<": "<", ">": ">"}.get(state[1], "="))


class _NumpyArray(LazyArray):
    """An array whose bytes lie in the pickle."""

    __slots__ = ("_parts", "_where")

    def __init__(self, where):
        self._where, self._parts = where, None

    def __setstate__(self, state):
        _, shape, dtype, fortran, raw = state
        self._parts = raw, dtype, shape, "F" if fortran else "C"

    def fill(self, *parts):
        self._parts = parts
        return self

    def array(self):
        if not self._parts or not isinstance(self._parts[1], _NumpyDtype):
            raise CheckpointError(f"{self._where}: an array comes without its numbers")
        raw, dtype, shape, order = self._parts
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        order_of_bytes = "<" if dtype.dtype.newbyteorder("<") == dtype.dtype else ">"
        flat = decode(raw, dtype.dtype.str[1:], order_of_bytes)
        try:
            return flat.reshape(shape, order=order)
        except (TypeError, ValueError):
            raise CheckpointError(
                f"{self._where}: an array of {flat.size} numbers has the shape {shape!r}"
            ) from None


def _tensor(where, storage, offset, size, stride, *_):
    return _window(where, storage, offset, size, stride)


def _tensor_with_dtype(where, storage, offset, size, stride, _, __, dtype, *___):
    return _window(where, storage, offset, size, stride, code=getattr(dtype, "text", ""))


def _window(where, storage, offset, size, stride, code=""):
    if not isinstance(storage, Storage):
        raise CheckpointError(f"{where}: a tensor comes without a storage")
    return Tensor(storage, offset, size, stride, where=where, code=code)


def _encode(where, text, encoding):
    """How pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise CheckpointError(f"{where}: bytes are encoded as {encoding!r}; expected 'latin1'")
    return text.encode("latin1")


def _numpy_scalar(where, dtype, raw):
    return _NumpyArray(where).fill(raw, dtype, (), "C")


def _numpy_buffer(where, raw, dtype, shape, order):
    return _NumpyArray(where).fill(raw, dtype, shape, order)


_STANDINS = {
    ("collections", "OrderedDict"): lambda where, *items: _Dict(*items),
    ("torch", "Size"): lambda where, *sides: tuple(*sides),
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_with_dtype,
    ("torch._utils", "_rebuild_parameter"): lambda where, tensor, *_: tensor,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda where: b"",  # how protocol 2 writes no bytes at all
    ("numpy", "ndarray"): lambda where, *_: _NumpyArray(where),
    ("numpy", "dtype"): _NumpyDtype,
}
for _numpy in ("numpy.core", "numpy._core"):
    _STANDINS |= {
        (f"{_numpy}.multiarray", "_reconstruct"): lambda where, *_: _NumpyArray(where),
        (f"{_numpy}.multiarray", "scalar"): _numpy_scalar,
        (f"{_numpy}.numeric", "_frombuffer"): _numpy_buffer,
    }
