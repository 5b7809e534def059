"""Files that are cut off, lie about themselves or are something else."""

import json
import pickle
import struct

import numpy as np
import pytest

from sor_jax.convert.readers import read_checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from tests.convert import writers

FLAT = np.arange(6, dtype=np.float32)


LFS = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 476543210
"""
INDEX = b"""{"metadata": {"total_size": 9}, "weight_map": {
  "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}"""


def refused(path, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("write", [writers.write_zip, writers.write_legacy])
@pytest.mark.parametrize(
    "offset, size, stride",
    [(0, (7,), (1,)), (1, (2, 3), (3, 1)), (6, (1,), (1,)), (0, (2, 2), (5, 1)), (-1, (2,), (1,)),
     (0, (2,), (-1,)), (0, (2, 2), (1,)), (0, (-1,), (1,)), (2**70, (1,), (1,))],
)  # fmt: skip
def test_a_window_beyond_its_storage(tmp_path, write, offset, size, stride):
    value = {"x": writers.tensor(writers.storage("0", FLAT), offset, size, stride)}
    write(tmp_path / "a.pth", value)
    refused(tmp_path / "a.pth", "reaches beyond its storage of 6|a tensor has offset")


def test_a_storage_that_is_too_small(tmp_path):
    base = writers.storage("0", FLAT)._replace(count=60)
    writers.write_zip(tmp_path / "a.pth", {"x": writers.tensor(base, 0, (60,), (1,))})
    refused(tmp_path / "a.pth", "a storage has 24 bytes, expected 240")
    writers.write_legacy(tmp_path / "b.pth", {"x": writers.tensor(base, 0, (60,), (1,))})
    refused(tmp_path / "b.pth", "cut off: storage 0 ends at byte")


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_every_cut_is_noticed(tmp_path, name):
    path = tmp_path / "a.pth"
    write = {"zip": writers.write_zip, "legacy": writers.write_legacy}[name]
    write(path, {"x": writers.whole("0", FLAT)})
    body = path.read_bytes()
    for length in range(0, len(body), 7):
        path.write_bytes(body[:length])
        with pytest.raises(CheckpointError):
            read_checkpoint(path)


def test_a_zip_whose_bytes_changed(tmp_path):
    path = tmp_path / "a.pth"
    writers.write_zip(path, {"x": writers.whole("0", FLAT)})
    body = path.read_bytes()
    path.write_bytes(body.replace(FLAT.tobytes(), (FLAT + 1).tobytes()))
    refused(path, "storage 0 cannot be read: Bad CRC-32")


@pytest.mark.parametrize(
    "body, match",
    [
        (b"<!DOCTYPE html><html>", "a web page, not the file behind it"),
        (b"\xef\xbb\xbf\n <?xml version='1.0'?><Error>", "a web page, not the file behind it"),
        ("<html>".encode("utf-16"), "a web page, not the file behind it"),
        (LFS, "a Git-LFS pointer to 476,543,210 bytes.*git lfs pull"),
        (INDEX, "the index of 2 shards .model-00001-of-00002.safetensors, model-00002"),
        (b'{"message": "Not Found"}', "JSON, no weights; it holds 'message'"),
        (b"\x1f\x8b\x08\x00", "compressed by gzip; unpack it first"),
        (b"PK\x03\x04cut off here", "a zip that is cut off"),
        (b"", "starts with b''.*Known formats"),
        (b"\x89PNG\r\n\x1a\n", "Known formats: .pth"),
        (b"\x80\x02]q\x00.", "holds a list; expected arrays by name"),
        (b"\x80\x02}U\x05modelK\x05s.", "without any array in it; it holds model"),
        (b"\x80\x02}U\x05model", "is damaged .EOFError: .* get it again"),
    ],
)
def test_other_files(tmp_path, body, match):
    (tmp_path / "a.pth").write_bytes(body)
    refused(tmp_path / "a.pth", match)


@pytest.mark.parametrize("name", ["model-00001-of-00003.safetensors", "model_0-of-2.bin"])
def test_one_shard_of_several(tmp_path, name):
    writers.write_zip(tmp_path / name, {"x": writers.whole("0", FLAT)})
    refused(tmp_path / name, "one shard of [23]: it holds a part")


def test_the_only_shard_is_a_whole_file(tmp_path):
    path = tmp_path / "model-00001-of-00001.bin"
    writers.write_zip(path, {"x": writers.whole("0", FLAT)})
    assert read_checkpoint(path).arrays["x"].tolist() == FLAT.tolist()


def test_a_folder(tmp_path):
    (tmp_path / "model.safetensors").touch()
    refused(tmp_path, "is a folder; .* model.safetensors")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*nothing.pth"):
        read_checkpoint(tmp_path / "nothing.pth")


@pytest.mark.parametrize(
    "change",
    [{"data_offsets": [0, 20]}, {"data_offsets": [-8, 16]}, {"data_offsets": [8, 32]},
     {"dtype": "F8_E4M3"}, {"dtype": "X"}, {"shape": None}],
)  # fmt: skip
def test_safetensors_that_lie(tmp_path, change):
    write_safetensors(tmp_path / "a", FLAT.tobytes(), **change)
    refused(tmp_path / "a", "is cut off or damaged.*get it again")


@pytest.mark.parametrize(("kind", "size"), [("F8_E4M3", 1), ("C64", 8)])
def test_safetensors_of_a_type_that_is_none_of_ours(tmp_path, kind, size):
    write_safetensors(tmp_path / "a", bytes(6 * size), dtype=kind, data_offsets=[0, 6 * size])
    refused(tmp_path / "a", f"x is of the type {kind}")


def write_safetensors(path, raw, **facts):
    facts = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24], **facts}
    text = json.dumps({"x": facts}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw)


def test_safetensors_with_a_broken_header(tmp_path):
    (tmp_path / "a").write_bytes(struct.pack("<Q", 20) + b'{"x": {"dtype": "F32" and no more')
    refused(tmp_path / "a", "is cut off or damaged")


@pytest.mark.parametrize("name", ["zip", "legacy", "safetensors", "npz", "pkl"])
def test_any_changed_byte_is_an_error_of_ours_or_another_number(tmp_path, name):
    path = tmp_path / "a"
    if name in ("zip", "legacy"):
        write = {"zip": writers.write_zip, "legacy": writers.write_legacy}[name]
        write(path, {"model": {"x": writers.whole("0", FLAT)}})
    elif name == "safetensors":
        write_safetensors(path, FLAT.tobytes())
    elif name == "npz":
        with open(path, "wb") as file:
            np.savez(file, x=FLAT)
    else:
        path.write_bytes(pickle.dumps({"x": FLAT, "y": np.float32(1)}))
    body = path.read_bytes()
    assert read_checkpoint(path).arrays["x"].tolist() == FLAT.tolist()
    refusals = 0
    for i in range(len(body)):
        for change in (0x01, 0x80, 0xFF):
            path.write_bytes(body[:i] + bytes([body[i] ^ change]) + body[i + 1 :])
            try:
                read_checkpoint(path)
            except CheckpointError:
                refusals += 1
    assert refusals > len(body) / 4
