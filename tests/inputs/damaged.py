"""Stored records, a hundred of them damaged in ways that can be told."""

import json
import struct
import zlib

import numpy as np

from sor_jax.datasets.record import decode_record
from tests.datasets import assr_tree
from tests.pictures import encoded

HW = (24, 32)
BOXES = ((2, 3, 12, 20), (15, 4, 30, 22))


def good(name):
    """A record of two rectangles, one as polygon and one as RLE."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return {
        "image_id": name.encode(),
        "image": assr_tree.jpeg(rng.integers(0, 256, (*HW, 3), np.uint8)),
        "grey": encoded(np.zeros(HW, np.uint8)),
        "objects": {
            "bbox": [np.float32(box) for box in BOXES],
            "rank_order": [np.float32(1.0), np.float32(0.9)],
            "segmentation": [
                json.dumps(assr_tree.polygon(BOXES[0])).encode(),
                json.dumps(assr_tree.rle(BOXES[1], HW)).encode(),
            ],
        },
    }


def _objects(field, index, value):
    def act(record, rng):
        record["objects"][field][index] = value(rng) if callable(value) else value

    return act


def _cut(field):
    def act(record, rng):
        record[field] = record[field][: rng.integers(1, len(record[field]) * 3 // 4)]

    return act


def _set(field, value):
    def act(record, rng):
        record[field] = value(rng) if callable(value) else value

    return act


def _noise(rng):
    return rng.bytes(int(rng.integers(1, 400)))


def _bomb(rng):
    """A PNG that claims to be larger than any memory."""
    header = struct.pack(">IIBBBBB", 90_000, 90_000 + int(rng.integers(99)), 8, 2, 0, 0, 0)
    check_sum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + check_sum


def _json(value):
    return lambda rng: json.dumps(value(rng)).encode()


def _shorter(record, rng):
    record["objects"]["rank_order"].pop()


def _longer(record, rng):
    record["objects"]["rank_order"].append(np.float32(0.8))


def _without(record, rng):
    del record["objects"][str(rng.choice(list(record["objects"])))]


def _box(make):
    return _objects("bbox", 1, lambda rng: np.float32(make(rng)))


KINDS = {
    "photograph cut": _cut("image"),
    "photograph is noise": _set("image", _noise),
    "photograph is empty": _set("image", b""),
    "photograph is a bomb": _set("image", _bomb),
    "map cut": _cut("grey"),
    "map of another size": _set(
        "grey", lambda rng: encoded(np.zeros((9, rng.integers(1, 9)), np.uint8))
    ),
    "RLE of another size": _objects(
        "segmentation",
        1,
        _json(lambda rng: {"size": [24, int(rng.integers(1, 30))], "counts": "0"}),
    ),
    "RLE cut": _objects("segmentation", 1, _json(lambda rng: {"size": HW, "counts": "b1"})),
    "RLE of noise": _objects(
        "segmentation",
        1,
        _json(lambda rng: {"size": HW, "counts": rng.bytes(30).decode("latin-1")}),
    ),
    "RLE of numbers": _objects("segmentation", 1, _json(lambda rng: {"size": HW, "counts": [3]})),
    "RLE without counts": _objects("segmentation", 1, _json(lambda rng: {"size": HW})),
    "polygon of odd length": _objects(
        "segmentation", 0, _json(lambda rng: [[1, 2, 3, 4, 5, 6, 7]])
    ),
    "polygon of a line": _objects("segmentation", 0, _json(lambda rng: [[1, 2, 3, 4]])),
    "polygon far away": _objects(
        "segmentation", 0, _json(lambda rng: [[1, 2, 10.0 ** int(rng.integers(3, 300)), 2, 4, 9]])
    ),
    "polygon of nan": _objects("segmentation", 0, b"[[1, 2, NaN, 4, 5, 6]]"),
    "no polygon": _objects("segmentation", 0, b"[]"),
    "mask is no JSON": _objects("segmentation", 0, b"[[1, 2"),
    "mask without a pixel": _objects(
        "segmentation", 0, _json(lambda rng: [[3.1, 3.1, 3.2, 3.1, 3.2, 3.2]])
    ),
    "a rank too few": _shorter,
    "a rank too many": _longer,
    "a rank twice": _objects("rank_order", 1, np.float32(1.0)),
    "a rank that is nan": _objects("rank_order", 1, np.float32("nan")),
    "a rank above one": _objects("rank_order", 1, np.float32(7)),
    "box outside": _box(lambda rng: (5, 5, 32 + rng.integers(2, 900), 20)),
    "box left of it": _box(lambda rng: (-rng.integers(2, 900), 5, 9, 20)),
    "box as x y w h": _box(lambda rng: (15, 14, 9, 8)),
    "box of nan": _box(lambda rng: (1, 2, np.nan, 9)),
    "box without area": _box(lambda rng: (6, 3, 6, 9)),
    "box of three": _box(lambda rng: (6, 3, 6)),
    "a field missing": _without,
}


def damaged(index):
    """A damaged record; its name says how."""
    kind = list(KINDS)[index % len(KINDS)]
    rng = np.random.default_rng(index)
    record = good(f"{index} {kind}")
    KINDS[kind](record, rng)
    return record


class Stored:
    """A source of stored records, all of which seem to have ranks."""

    def __init__(self, records):
        self._records = records

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        return decode_record(self._records[index], where="fuzz.file")

    def rank_order(self, index):
        return np.float32([1.0, 0.9])

    def __repr__(self):
        return "fuzz.file"
