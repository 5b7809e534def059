"""Arrays out of files in each format: by our own writers, by numpy, and by PyTorch itself."""

import json
import pathlib
import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from sor_jax.convert.readers import read_checkpoint
from tests.convert import writers

SAMPLES = pathlib.Path(__file__).parent / "samples"
WRITERS = {"torch zip": writers.write_zip, "torch legacy": writers.write_legacy}


@pytest.fixture(params=WRITERS)
def torch_file(request, tmp_path):
    """A function that writes a value in each of torch's formats and reads it back."""

    def read(value):
        path = tmp_path / "file.pth"
        WRITERS[request.param](path, value)
        checkpoint = read_checkpoint(path)
        assert checkpoint.format == request.param
        return checkpoint.arrays

    return read


def test_windows_on_a_shared_storage(torch_file):
    flat = np.arange(24, dtype=np.float32)
    base = writers.storage("0", flat)
    got = torch_file(
        {
            "whole": writers.tensor(base, 0, (4, 6), (6, 1)),
            "turned": writers.tensor(base, 0, (6, 4), (1, 6)),
            "cut": writers.tensor(base, 7, (2, 2), (6, 2)),
            "repeated": writers.tensor(base, 3, (2, 3), (0, 1)),
            "empty": writers.tensor(base, 0, (0, 6), (6, 1)),
            "one": writers.tensor(base, 23, (), ()),
        }
    )
    grid = flat.reshape(4, 6)
    expected = {
        "whole": grid,
        "turned": grid.T,
        "cut": grid[1:3, 1:4:2],
        "repeated": np.stack([flat[3:6]] * 2),
        "empty": np.zeros((0, 6), np.float32),
        "one": np.float32(23),
    }
    for name, array in expected.items():
        assert got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i8"])
def test_types(torch_file, dtype):
    array = np.array([[-1, 0, 2], [100, 7, 5]], dtype)
    (got,) = torch_file({"x": writers.whole("7", array)}).values()
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_bfloat16_is_the_upper_half_of_float32(torch_file):
    exact = np.array([1.0, -2.5, 3.0e38, 2.0**-126, 0.0], np.float32)
    halves = (exact.view(np.uint32) >> 16).astype(np.uint16)
    base = writers.Storage("0", "BFloat16Storage", halves.tobytes(), 5)
    got = torch_file({"x": writers.tensor(base, 0, (5,), (1,))})["x"]
    kept = (halves.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(got, kept)
    np.testing.assert_allclose(got, exact, rtol=2**-7)


def test_storages_of_a_gpu(torch_file):
    base = writers.storage("0", np.ones(2, np.float32))._replace(module="torch.cuda")
    np.testing.assert_array_equal(torch_file({"x": writers.tensor(base, 0, (2,), (1,))})["x"], 1)


@pytest.mark.parametrize("under", ["model", "state_dict", None])
def test_weights_are_found_among_the_rest_of_a_training_state(torch_file, under):
    weights = {"module.a": writers.whole("0", np.ones(2, np.float32)), "module.note": "text"}
    other = {"optimizer": {"x": writers.whole("1", np.zeros(2, np.float32))}, "iteration": 3}
    got = torch_file({**other, under: weights} if under else weights)
    assert list(got) == ["module.a"]
    np.testing.assert_array_equal(got["module.a"], [1, 1])


def test_parameters_and_untyped_storages(torch_file):
    inner = writers.whole("0", np.array([1.5, 2.5], np.float32))
    no_hooks = writers.Call(writers.ORDERED_DICT, ())
    rebuild = writers.Global("torch._utils", "_rebuild_parameter")
    raw = np.array([3, 4], np.float16).tobytes()
    untyped = writers.Storage("1", "UntypedStorage", raw, len(raw), "torch.storage")
    third = writers.Global("torch._utils", "_rebuild_tensor_v3")
    dtype = writers.Global("torch", "float16")
    got = torch_file(
        {
            "parameter": writers.Call(rebuild, (inner, True, no_hooks)),
            "untyped": writers.Call(third, (untyped, 0, (2,), (1,), False, no_hooks, dtype)),
        }
    )
    np.testing.assert_array_equal(got["parameter"], [1.5, 2.5])
    np.testing.assert_array_equal(got["untyped"], np.array([3, 4], np.float16))


def test_big_endian_zip(tmp_path):
    base = writers.storage("0", np.arange(3, dtype=np.float32))
    base = base._replace(raw=np.arange(3, dtype=">f4").tobytes())
    value = {"x": writers.tensor(base, 0, (3,), (1,))}
    writers.write_zip(tmp_path / "big.pth", value, byteorder="big")
    got = read_checkpoint(tmp_path / "big.pth").arrays["x"]
    np.testing.assert_array_equal(got, [0, 1, 2])
    assert got.dtype.isnative


def test_legacy_view_of_a_storage(tmp_path):
    """Once torch could also save a storage that is a part of another one."""
    base = writers.storage("0", np.arange(10, dtype=np.float32))
    value = {"x": writers.tensor(base, 1, (2,), (1,))}
    writers.write_legacy(tmp_path / "view.pth", value)
    old, new = ("cuda:0", 10, None), ("cuda:0", 10, ("v", 4, 5))
    body = (tmp_path / "view.pth").read_bytes()
    before, after = (writers.dump(part)[2:-1][1:-1] for part in (old, new))
    assert body.count(before) == 1
    (tmp_path / "view.pth").write_bytes(body.replace(before, after))
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "view.pth").arrays["x"], [5, 6])


def test_only_the_weights_are_read(tmp_path):
    """An optimizer's state is as large as the model and more."""
    large = writers.whole("1", np.zeros(4_000_000, np.float32))
    value = {"model": {"x": writers.whole("0", np.ones(2, np.float32))}, "optimizer": [large]}
    for write in WRITERS.values():
        write(tmp_path / "file.pth", value)
        tracemalloc.start()
        read_checkpoint(tmp_path / "file.pth")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4_000_000


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_numpy_arrays(tmp_path, protocol):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "half": np.array([1.5], np.float16),
        "big": np.arange(3, dtype=">f4"),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 4), np.float32),
        "scalar": np.float32(2.5),
    }
    saved = {"model": arrays, "__author__": "someone"}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(saved, protocol))
    got = read_checkpoint(tmp_path / "a.pkl")
    assert got.format == "pickle of arrays"
    assert got.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(got.arrays[name], array, err_msg=name)
        assert got.arrays[name].dtype == array.dtype.newbyteorder("=")


def test_pickles_of_python_2(tmp_path):
    """There the bytes of an array are a str, which Python 3 takes for text."""
    array = np.array([1.0, -2.5], np.float32)
    raw = array.tobytes()
    dtype = (
        b"cnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNN"
        + 2 * b"J\xff\xff\xff\xff"
        + b"K\x00tb"
    )
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    state = b"(K\x01(K\x02t" + dtype + b"\x89U" + bytes([len(raw)]) + raw + b"tb"
    body = b"\x80\x02}(U\x05blobs}(U\x07conv1_w" + made + state + b"uu."
    assert pickle.loads(body, encoding="latin1")["blobs"]["conv1_w"].tolist() == array.tolist()
    (tmp_path / "old.pkl").write_bytes(body)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "old.pkl").arrays["conv1_w"], array)


def test_safetensors(tmp_path):
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([0x3FC0], np.uint16)
    header = {
        "__metadata__": {"format": "pt"},
        "stem.0.conv.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [1], "data_offsets": [24, 26]},
    }
    text = json.dumps(header).encode()
    raw = struct.pack("<Q", len(text)) + text + a.tobytes() + b.tobytes()
    (tmp_path / "a.safetensors").write_bytes(raw)
    got = read_checkpoint(tmp_path / "a.safetensors").arrays
    np.testing.assert_array_equal(got["stem.0.conv.weight"], a)
    np.testing.assert_array_equal(got["b"], [1.5])
    assert got.keys() == {"stem.0.conv.weight", "b"}


def test_npz(tmp_path):
    arrays = {"backbone.stem/conv.weight": np.arange(3.0), "b": np.ones((2, 2), np.int64)}
    np.savez(tmp_path / "a.npz", **arrays)
    got = read_checkpoint(tmp_path / "a.npz").arrays
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)


def test_the_name_does_not_tell_the_format(tmp_path):
    writers.write_zip(tmp_path / "pytorch_model.bin", {"x": writers.whole("0", np.ones(2, "f4"))})
    assert read_checkpoint(tmp_path / "pytorch_model.bin").format == "torch zip"


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "tensors.safetensors"])
def test_files_that_pytorch_wrote(name):
    """Every type and kind of view; see samples/make_samples.py."""
    with np.load(SAMPLES / "tensors.npz") as expected:
        got = read_checkpoint(SAMPLES / name).arrays
        assert got.keys() == set(expected.files)
        for key in expected.files:
            assert got[key].shape == expected[key].shape
            np.testing.assert_array_equal(got[key].astype(np.float32), expected[key], err_msg=key)
    assert got["float64"].dtype == np.float64
    assert got["int64"].dtype == np.int64
    assert got["bool"].dtype == np.bool_
