"""torch.save's files since 1.6: a zip of one pickle and one member a storage."""

import contextlib
import functools
import io
import zipfile

from sor_jax.convert.readers import pickled
from sor_jax.convert.readers.tensors import CheckpointError, Storage

NAME = "torch zip"
_PICKLE = "/data.pkl"


def recognises(names: list[str]) -> bool:
    """Whether a zip with these members is torch's."""
    return any(name.endswith(_PICKLE) for name in names)


@contextlib.contextmanager
def opened(path):
    """Yields what was saved; arrays can be read while it is open."""
    where = str(path)
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
        root = next(name for name in names if name.endswith(_PICKLE)).removesuffix(_PICKLE)
        if f"{root}/constants.pkl" in names:
            raise CheckpointError(
                f"{where} is a TorchScript program; save the state_dict of its model instead"
            )
        order = file.read(f"{root}/byteorder") if f"{root}/byteorder" in names else b"little"
        byteorder = ">" if order.strip() == b"big" else "<"

        @functools.lru_cache(maxsize=2)  # tensors that share a storage follow each other
        def member(key):
            try:
                return file.read(f"{root}/data/{key}")
            except (KeyError, zipfile.BadZipFile, EOFError) as error:
                raise CheckpointError(f"{where}: storage {key} cannot be read: {error}") from error

        def storage(code, key, _, count, *__):
            return Storage(code, count, functools.partial(member, key), byteorder)

        yield pickled.load(io.BytesIO(file.read(root + _PICKLE)), where=where, storage=storage)
