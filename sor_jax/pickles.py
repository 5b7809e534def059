"""An unpickler that builds arrays, numbers, text, lists and dicts, and nothing else.

A pickle is a program: it may ask for any class or function by name and call it. This one hands out
none but the stand-ins below, which only take notes; any other name ends the reading with an error
that says it. So a pickle can waste memory, but it runs nothing.
"""

import pickle

import numpy as np

_NUMPY_KINDS = "fiub"  # floats, integers, booleans


class UnreadableError(ValueError):
    """A file of others cannot be read, or must not be: which, what is wrong, what to do."""


class LazyArray:
    """Something that becomes an array when its bytes are there."""

    __slots__ = ()

    def array(self) -> np.ndarray:
        """The array, of numpy's dtypes and native byte order."""
        raise NotImplementedError

    def __setstate__(self, state):
        raise UnreadableError("the pickle changes a tensor after it was made")


class Sealed:
    """What a pickle may hold in its hands but not change."""

    __slots__ = ()

    def __setstate__(self, state):
        raise UnreadableError("the pickle changes something that it must not")


class Call(Sealed):
    """A stand-in for a function or a class, to be called by the pickle."""

    __slots__ = ("_function", "_where")

    def __init__(self, function, where):
        self._function, self._where = function, where

    def __call__(self, *args):
        """What the stand-in makes of them."""
        return self._function(self._where, *args)


class Unpickler(pickle.Unpickler):
    """Of one pickle in a binary file; `where` is what errors call it."""

    STANDINS: dict = {}  # noqa: RUF012
    ADVICE = "nothing of it was run"

    def __init__(self, file, where: str):
        super().__init__(file, encoding="latin1")  # numpy arrays that Python 2 wrote
        self._where = where

    def find_class(self, module, name):
        """A stand-in for what the pickle asks for by name, or UnreadableError."""
        for standins in (self.STANDINS, _STANDINS):
            if (module, name) in standins:
                return Call(standins[module, name], self._where)
        raise UnreadableError(
            f"{self._where}: its pickle asks for {module}.{name}, which is refused: only arrays, "
            f"numbers, text, lists and dicts are read; {self.ADVICE}"
        )

    def persistent_load(self, pid):
        """UnreadableError: nothing lies outside of the pickle."""
        raise UnreadableError(f"{self._where}: its pickle refers to {str(pid)[:80]!r} outside")


def load_plain(file, *, where: str):
    """Lists, dicts, text and Python's numbers of a pickle; an array is a list of numbers.

    Raises UnreadableError for whatever is wrong with it.
    """
    try:
        return _plain(Unpickler(file, where).load(), {}, where)
    except UnreadableError:
        raise
    except Exception as error:  # whatever a damaged file leads to, at this one place
        kind = type(error).__name__
        raise UnreadableError(f"{where} is damaged ({kind}: {error}); get it again") from error


def _plain(value, known: dict, where: str):
    """What is held at several places becomes one thing at several places, too."""
    if isinstance(value, LazyArray):
        return value.array().tolist()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, list | tuple | dict):
        raise UnreadableError(f"{where}: holds a {type(value).__name__}; expected numbers and text")
    if id(value) not in known:
        known[id(value)] = None
        made: dict | list
        if isinstance(value, dict):
            made = {_plain(k, known, where): _plain(v, known, where) for k, v in value.items()}
        else:
            made = [_plain(item, known, where) for item in value]
        known[id(value)] = made
    if known[id(value)] is None:
        raise UnreadableError(f"{where}: something in it holds itself")
    return known[id(value)]


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
            raise UnreadableError(f"{where}: an array is of the type {text!r}; expected numbers")
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
        """The same with its bytes, dtype, shape and order."""
        self._parts = parts
        return self

    def array(self) -> np.ndarray:
        """The array; UnreadableError where its bytes or its shape are not what they should be."""
        if not self._parts or not isinstance(self._parts[1], _NumpyDtype):
            raise UnreadableError(f"{self._where}: an array comes without its numbers")
        raw, dtype, shape, order = self._parts
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        flat = np.frombuffer(raw, dtype.dtype).astype(dtype.dtype.newbyteorder("="), copy=False)
        try:
            return flat.reshape(shape, order=order)
        except (TypeError, ValueError):
            raise UnreadableError(
                f"{self._where}: an array of {flat.size} numbers has the shape {shape!r}"
            ) from None


def _encode(where, text, encoding):
    """How pickles of protocol 2 write bytes."""
    if encoding != "latin1":
        raise UnreadableError(f"{where}: bytes are encoded as {encoding!r}; expected 'latin1'")
    return text.encode("latin1")


def _numpy_scalar(where, dtype, raw):
    return _NumpyArray(where).fill(raw, dtype, (), "C")


def _numpy_buffer(where, raw, dtype, shape, order):
    return _NumpyArray(where).fill(raw, dtype, shape, order)


_STANDINS = {
    ("collections", "OrderedDict"): lambda where, *items: _Dict(*items),
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
