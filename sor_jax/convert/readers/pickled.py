"""The restricted unpickler, sor_jax.pickles, with stand-ins for torch's tensors.

By itself it reads detectron2's .pkl: one pickle of numpy arrays, alone or under "model".
"""

import contextlib

from sor_jax.convert.readers.tensors import STORAGES, TORCH_DTYPES, CheckpointError, Storage, Tensor
from sor_jax.pickles import Sealed, Unpickler

NAME = "pickle of arrays"


def recognises(head: bytes) -> bool:
    """Whether a file starts as a pickle does: a protocol byte, or a dict of protocol 0 or 1."""
    return head[:1] == b"\x80" or head[:2] in (b"(d", b"}q", b"}(", b"cc")


@contextlib.contextmanager
def opened(path):
    """Yields what was saved."""
    with open(path, "rb") as file:
        yield load(file, where=str(path))


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


class _Unpickler(Unpickler):
    ADVICE = (
        "nothing of it was run. If you trust the file, load it where it was written and save its "
        "state_dict alone"
    )

    def __init__(self, file, where, storage):
        super().__init__(file, where)
        self._storage = storage

    def find_class(self, module, name):
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGES:
            return _Note(STORAGES[name])
        if module == "torch" and name in TORCH_DTYPES:
            return _Note(TORCH_DTYPES[name])
        return super().find_class(module, name)

    def persistent_load(self, pid):
        if self._storage is None or not isinstance(pid, tuple) or pid[0] != "storage":
            return super().persistent_load(pid)
        kind, *rest = pid[1:]
        if not isinstance(kind, _Note):
            raise CheckpointError(f"{self._where}: a storage is of the type {str(kind)[:80]!r}")
        return self._storage(kind.text, *rest)


class _Note(Sealed):
    """A name that only means something to other stand-ins."""

    __slots__ = ("text",)

    def __init__(self, text):
        self.text = text


def _tensor(where, storage, offset, size, stride, *_):
    return _window(where, storage, offset, size, stride)


def _tensor_with_dtype(where, storage, offset, size, stride, _, __, dtype, *___):
    return _window(where, storage, offset, size, stride, code=getattr(dtype, "text", ""))


def _window(where, storage, offset, size, stride, code=""):
    if not isinstance(storage, Storage):
        raise CheckpointError(f"{where}: a tensor comes without a storage")
    return Tensor(storage, offset, size, stride, where=where, code=code)


_Unpickler.STANDINS = {
    ("torch", "Size"): lambda where, *sides: tuple(*sides),
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_with_dtype,
    ("torch._utils", "_rebuild_parameter"): lambda where, tensor, *_: tensor,
}
