"""Folders as people have them: ASSR's own ranks, and a hundred damaged records."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets import assr
from sor_jax.datasets.source import RecordSource
from tests.datasets import assr_tree
from tests.pictures import encoded

COUNT = 100


def opened(root, tmp_path, split="train", **options):
    builder = assr.builder(root, split, cache_dir=tmp_path / "cache", **options)
    return RecordSource(builder.data_dir, split)


def test_assrs_own_ranks_of_thirty_objects(tmp_path, capsys):
    """rank_order from 1 in steps of -.1, below -1; two objects without area, as COCO has them."""
    boxes = [(2 * i, i % 7, 2 * i + 2, 40) for i in range(30)]
    values = [round(1 - 0.1 * place, 1) for place in range(30)]
    shuffled = np.random.default_rng(0).permutation(30)
    objects = [(boxes[i], values[place]) for i, place in enumerate(shuffled)]
    root = tmp_path / "files"
    assr_tree.write_split(root, "train", {"crowd": objects, **assr_tree.IMAGES})
    without = [i for i, (_, value) in enumerate(objects) if value <= 0.5]
    with assr_tree.edited_objects(root, "crowd") as things:
        things[without[0]]["bbox"] = [3, 9, 8, 9]
        things[without[1]]["segmentation"] = [[3, 9, 8, 9, 8]]
    for on_error in ("raise", "skip"):
        source = opened(root, tmp_path / on_error, on_error=on_error)
        told = capsys.readouterr().err
        assert told.count("2 objects without a rank") == 1 and "record crowd" in told
        assert not source.left_out and len(source) == 5
        record = source[0]
        kept = [value for i, (_, value) in enumerate(objects) if i not in without[:2]]
        np.testing.assert_allclose(record.rank_order, kept, atol=1e-6)
        assert (record.rank_order > 0.5).sum() == 5 and record.rank_order.min() < -1.5
    for on_error in ("raise", "skip"):  # told, and prepared, once
        opened(root, tmp_path / "raise", on_error=on_error)
        assert not capsys.readouterr().err


def _map(change):
    def act(root, rng):
        file = root / "gt/train/three.png"
        file.write_bytes(encoded(np.ascontiguousarray(change(np.array(Image.open(file)), rng))))

    return act


def _objects(field, change):
    """One object of the photograph "three" changes; all of its objects have ranks."""

    def act(root, rng):
        with assr_tree.edited_objects(root, "three") as things:
            thing = things[int(rng.integers(1, 3))]
            thing[field] = change(thing[field], rng)

    return act


def _ranks(make):
    def act(root, rng):
        path = root / "rank_order/train/three.json"
        path.write_text(json.dumps({"rank_order": make(rng)}))

    return act


def _palette(root, rng):
    image = Image.fromarray(np.array(Image.open(root / "gt/train/three.png")) // 50, "L")
    image = image.convert("P")
    image.putpalette(rng.integers(0, 100, 768).tolist())
    image.save(root / "gt/train/three.png")


def _bytes(path, change):
    def act(root, rng):
        content = (root / path).read_bytes()
        (root / path).write_bytes(change(content, rng))

    return act


def _huge(content, rng):
    header = struct.pack(">IIBBBBB", 20_000, 10_000 + int(rng.integers(99)), 8, 2, 0, 0, 0)
    check_sum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + check_sum


def _wide(b):
    return [b[0], b[1], b[2] - b[0], b[3] - b[1]]


KINDS = {
    "map inverted": _map(lambda g, r: 255 - g),
    "map mirrored": _map(lambda g, r: g[:, ::-1]),
    "map upside down": _map(lambda g, r: g[::-1]),
    "map binary": _map(lambda g, r: (g > 0) * np.uint8(255)),
    "map of ones": _map(lambda g, r: (g > 0).astype(np.uint8)),
    "map of indices": _map(lambda g, r: (g // 50).astype(np.uint8)),
    "map of 8 in 16 bits": _map(lambda g, r: g.astype(np.uint16)),
    "map black": _map(lambda g, r: g * 0),
    "map of noise": _map(lambda g, r: r.integers(0, 256, g.shape).astype(np.uint8)),
    "map moved": _map(lambda g, r: np.roll(g, int(r.integers(9, 40)), axis=1)),
    "map without one": _map(lambda g, r: np.where(g == 255, 0, g).astype(np.uint8)),
    "map of another order": _map(
        lambda g, r: np.where(g > 0, 153 + (g - 152) % 100, 0).astype(np.uint8)
    ),
    "map by palette": _palette,
    "map cut": _bytes("gt/train/three.png", lambda c, r: c[: int(r.integers(1, len(c) // 2))]),
    "photograph cut": _bytes("images/train/three.jpg", lambda c, r: c[: int(r.integers(1, 900))]),
    "photograph of noise": _bytes("images/train/three.jpg", lambda c, r: r.bytes(300)),
    "photograph of 200 megapixels": _bytes("images/train/three.jpg", _huge),
    "box as x y w h": _objects("bbox", lambda b, r: _wide(b)),
    "box elsewhere": _objects("bbox", lambda b, r: [0, 41, 5 + int(r.integers(5)), 47]),
    "box in shares": _objects("bbox", lambda b, r: [b[0] / 64, b[1] / 48, b[2] / 64, b[3] / 48]),
    "box as text": _objects("bbox", lambda b, r: [str(side) for side in b]),
    "box of null": _objects("bbox", lambda b, r: None),
    "mask elsewhere": _objects("segmentation", lambda s, r: assr_tree.polygon((0, 40, 9, 48))),
    "mask of another size": _objects(
        "segmentation", lambda s, r: assr_tree.rle((1, 1, 9, 9), hw=(20, int(r.integers(20, 40))))
    ),
    "mask empty": _objects("segmentation", lambda s, r: []),
    "ranks of eighths": _ranks(lambda r: [0.75, 1.0, 0.875]),
    "ranks with a gap": _ranks(lambda r: [[0.6, 1.0, 0.8], [0.7, 0.9, 0.8]][r.integers(2)]),
    "ranks as text": _ranks(lambda r: ["0.8", "1.0", "0.9"]),
    "ranks 1 2 3": _ranks(lambda r: [3, 1, 2]),
    "ranks twice": _ranks(lambda r: [1.0, 1.0, 0.9]),
    "ranks of null": _ranks(lambda r: [None, 1.0, 0.9]),
    "ranks no list": _ranks(lambda r: {"1": 0.9}),
    "ranks of others": _ranks(lambda r: [1.0, 0.8, 0.9]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_damaged_records_are_named_and_skipped(tmp_path, kind):
    for number in range(-(-COUNT // len(KINDS))):
        tmp_path = tmp_path / f"{number}"  # a cache for each: equal contents share their records
        root = tmp_path / "files"
        assr_tree.write_split(root, "train")
        KINDS[kind](root, np.random.default_rng(number))
        with pytest.raises(ValueError) as error:
            opened(root, tmp_path)
        assert "three" in str(error.value) and str(root) in str(error.value)
        assert ("palette" in str(error.value)) == (kind == "map by palette")
        source = opened(root, tmp_path, on_error="skip")
        assert source.left_out == [str(error.value)]
        assert [source[i].image_id for i in range(len(source))] == ["two", "none", "one"]


def test_a_mistake_of_most_records_is_no_damage_of_single_ones(tmp_path):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    for file in (root / "gt/train").glob("*.png"):
        Image.fromarray(255 - np.array(Image.open(file))).save(file)
    with pytest.raises(ValueError, match=r"4 of 4 photographs are damaged.*inverted"):
        opened(root, tmp_path, on_error="skip")
