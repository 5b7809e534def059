"""Writers of torch's two formats, opcode by opcode, without torch and without `pickle`."""

import struct
import zipfile
from typing import NamedTuple

import numpy as np

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


class Global(NamedTuple):
    """A class or function that the pickle asks for."""

    module: str
    name: str


class Call(NamedTuple):
    """What a function returns."""

    function: object
    arguments: tuple


class Outside(NamedTuple):
    """A persistent id."""

    value: object


class Storage(NamedTuple):
    """A flat run of numbers under a key."""

    key: str
    kind: str
    raw: bytes
    count: int
    module: str = "torch"


def storage(key, flat):
    flat = np.ascontiguousarray(flat)
    return Storage(key, STORAGES[flat.dtype.str[1:]], flat.tobytes(), flat.size)


def tensor(base, offset, size, stride, *, tail=()):
    """A window on a storage, as torch rebuilds it."""
    arguments = (base, offset, tuple(size), tuple(stride), False, Call(ORDERED_DICT, ()), *tail)
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def whole(key, array):
    """A tensor of its own storage."""
    strides = [step // array.itemsize for step in np.ascontiguousarray(array).strides]
    return tensor(storage(key, array), 0, array.shape, strides)


ORDERED_DICT = Global("collections", "OrderedDict")


def dump(value, *, where=lambda storage: (storage.key, "cpu", storage.count)):
    """One pickle of protocol 2; `where` says what stands behind a storage's class in its id."""
    return b"\x80\x02" + _bytes(value, where) + b"."


def _bytes(value, where):
    def inner(item):
        return _bytes(item, where)

    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            raw = value.encode()
            return b"X" + struct.pack("<I", len(raw)) + raw
        case Storage():
            kind = Global(value.module, value.kind)
            return inner(Outside(("storage", kind, *where(value))))
        case Global():
            return b"c" + f"{value.module}\n{value.name}\n".encode()
        case Call():
            return inner(value.function) + inner(value.arguments) + b"R"
        case Outside():
            return inner(value.value) + b"Q"
        case tuple():
            return b"(" + b"".join(map(inner, value)) + b"t"
        case list():
            return b"](" + b"".join(map(inner, value)) + b"e"
        case dict():
            items = b"".join(inner(key) + inner(item) for key, item in value.items())
            return b"}(" + items + b"u"
    raise TypeError(value)


def storages(value):
    """{key: Storage} of everything in a tree."""
    if isinstance(value, Storage):
        return {value.key: value}
    parts = value.values() if isinstance(value, dict) else value
    if isinstance(parts, str) or not hasattr(parts, "__iter__"):
        return {}
    return {key: item for part in parts for key, item in storages(part).items()}


def write_zip(path, value, *, byteorder=None, root="archive"):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{root}/data.pkl", dump(value))
        if byteorder:
            file.writestr(f"{root}/byteorder", byteorder)
        for key, item in storages(value).items():
            file.writestr(f"{root}/data/{key}", item.raw)
        file.writestr(f"{root}/version", "3\n")


def write_legacy(path, value):
    parts = [
        dump(0x1950A86A20F9469CFC6C),
        dump(1001),
        dump({"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}),
        dump(value, where=lambda item: (item.key, "cuda:0", item.count, None)),
    ]
    found = storages(value)
    parts.append(dump(list(found)))
    parts += [struct.pack("<q", item.count) + item.raw for item in found.values()]
    path.write_bytes(b"".join(parts))
