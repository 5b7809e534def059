"""torch.save's files before 1.6, and its legacy switch since.

Five pickles: a magic number, a version, facts of the machine, what was saved, the keys of the
storages. Behind them, for each key in this order, the number of its elements and the elements.
"""

import contextlib
import functools
import mmap
import struct

from sor_jax.convert.readers import pickled
from sor_jax.convert.readers.tensors import CheckpointError, Storage, item_size

NAME = "torch legacy"
_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def recognises(head: bytes) -> bool:
    """Whether a file's first bytes hold the magic number."""
    return _MAGIC.to_bytes(10, "little") in head[:32]


@contextlib.contextmanager
def opened(path):
    """Yields what was saved; arrays can be read while it is open."""
    where = str(path)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        places, codes = {}, {}

        def read(key):
            if key not in places:
                raise CheckpointError(f"{where}: storage {key} is not in the file")
            begin, end = places[key]
            return data[begin:end]

        cached = functools.lru_cache(maxsize=2)(read)

        def storage(code, key, _, count, view=None, *__):
            codes[key] = code
            if view is None:
                return Storage(code, count, functools.partial(cached, key))
            _, first, size = view
            step = item_size(code)
            return Storage(code, size, lambda: cached(key)[first * step : (first + size) * step])

        magic, version, _ = (pickled.load(file, where=where) for _ in range(3))
        if (magic, version) != (_MAGIC, _VERSION):
            raise CheckpointError(f"{where}: is of torch's version {version}, expected {_VERSION}")
        saved = pickled.load(file, where=where, storage=storage)
        keys = pickled.load(file, where=where)
        places.update(_places(data, file.tell(), keys, codes, where))
        yield saved


def _places(data, position, keys, codes, where):
    """{key: (begin, end)} of the storages that lie one after the other from `position` on."""
    places = {}
    for key in keys:
        if key not in codes or position + 8 > len(data):
            raise CheckpointError(f"{where}: is cut off or damaged at storage {key}")
        (count,) = struct.unpack_from("<q", data, position)
        begin, end = position + 8, position + 8 + count * item_size(codes[key])
        if not begin <= end <= len(data):
            raise CheckpointError(
                f"{where}: is cut off: storage {key} ends at byte {end} of {len(data)}"
            )
        places[key] = begin, end
        position = end
    return places
