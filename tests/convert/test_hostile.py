"""A pickle that wants to run something runs nothing, and is refused by the name it asked for."""

import collections
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from sor_jax.convert.readers import read_checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from tests.convert import writers
from tests.convert.test_readers import SAMPLES


@pytest.fixture
def trap(tmp_path):
    """A file that the attacks create when they work."""
    path = tmp_path / "sprung"
    yield path
    assert not path.exists()


def attacks(trap):
    """{how: pickle}: each would create the file."""
    touch = f"touch {trap}"
    text = b"X" + len(touch).to_bytes(4, "little") + touch.encode()
    system = b"cposix\nsystem\n"
    short = b"\x8c\x05posix\x8c\x06system"
    return {
        "reduce": b"\x80\x02" + system + text + b"\x85R.",
        "inst": b"(S'" + touch.encode() + b"'\niposix\nsystem\n.",
        "obj": b"\x80\x02(" + system + text + b"o.",
        "stack global": b"\x80\x04" + short + b"\x93" + text + b"\x85R.",
        "new object": b"\x80\x02csubprocess\nPopen\n(]" + text + b"at\x81.",
        "dotted": b"\x80\x04\x8c\x0ctorch._utils\x8c\x09os.system\x93" + text + b"\x85R.",
        "inside a dict": b"\x80\x02}X\x01\x00\x00\x00a" + system + text + b"\x85Rs.",
        "eval": b"\x80\x02cbuiltins\neval\n" + text + b"\x85R.",
        "getattr": b"\x80\x02cbuiltins\ngetattr\n" + text + b"\x85R.",
    }


WORKING = ("reduce", "inst", "obj", "stack global", "inside a dict")


@pytest.mark.parametrize("how", WORKING)
def test_these_attacks_are_real(tmp_path, how):
    trap = tmp_path / "sprung"
    pickle.loads(attacks(trap)[how])
    assert trap.exists()


@pytest.mark.parametrize("how", attacks("x"))
@pytest.mark.parametrize("form", ["pkl", "zip", "legacy"])
def test_nothing_runs(trap, tmp_path, how, form):
    path, body = tmp_path / "hostile", attacks(trap)[how]
    if form == "pkl" and how == "inst":
        body = b"\x80\x02" + body  # or it would not even be taken for a pickle
    if form == "zip":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("archive/data.pkl", body)
    elif form == "legacy":
        writers.write_legacy(path, {})
        head = path.read_bytes().partition(writers.dump({}))[0]
        path.write_bytes(head + body)
    else:
        path.write_bytes(body)
    name = {"eval": "builtins.eval", "getattr": "builtins.getattr", "dotted": "_utils.os.system"}
    wanted = {"new object": "subprocess.Popen", **name}.get(how, "posix.system")
    with pytest.raises(CheckpointError, match=f"asks for .*{wanted}, which is refused"):
        read_checkpoint(path)


@pytest.mark.parametrize("key", ["magic", "version", "keys"])
def test_every_pickle_of_a_legacy_file_is_guarded(trap, tmp_path, key):
    body = attacks(trap)["reduce"]
    good = [writers.dump(x) for x in (0x1950A86A20F9469CFC6C, 1001, {}, {"a": 1}, [])]
    good[{"magic": 0, "version": 1, "keys": 4}[key]] = body
    path = tmp_path / "hostile"
    # A magic number somewhere behind is enough to be taken for such a file.
    path.write_bytes(good[0] + (writers.dump(0x1950A86A20F9469CFC6C) + b"".join(good[1:])))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)


class Custom:
    pass


@pytest.mark.parametrize(
    "value, name",
    [
        (collections.deque(), "collections.deque"),
        (Custom(), "Custom"),
        (np.array([Custom()], object), "an array is of the type 'O8'"),
        (np.zeros(2, [("a", "f4")]), "an array is of the type 'V4'"),
        (io.BytesIO(), "_io.BytesIO"),
        (os.path.join, "posixpath.join"),
    ],
)
def test_other_classes_are_refused_by_name(tmp_path, value, name):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": value}))
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(tmp_path / "a.pkl")


@pytest.mark.parametrize(
    "standin", ["collections\nOrderedDict", "torch._utils\n_rebuild_tensor_v2"]
)
@pytest.mark.parametrize("state", [b"}U\x01aK\x01s", b"N}U\x09_functionK\x01s\x86"])
def test_stand_ins_cannot_be_changed(tmp_path, standin, state):
    """A pickle may set attributes of what it holds."""
    body = b"\x80\x02c" + standin.encode() + b"\n" + state + b"b."
    (tmp_path / "a.pkl").write_bytes(body)
    with pytest.raises(CheckpointError, match="must not"):
        read_checkpoint(tmp_path / "a.pkl")


def test_whole_models_and_programs_are_refused():
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(SAMPLES / "module.pth")
    with pytest.raises(CheckpointError, match="TorchScript.*state_dict"):
        read_checkpoint(SAMPLES / "script.pth")


def test_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([Custom()], object))
    with pytest.raises(CheckpointError, match="a: Object arrays cannot be loaded"):
        read_checkpoint(tmp_path / "a.npz")
