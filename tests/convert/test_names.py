"""What training scripts put before the names of arrays, and several weights in one file."""

import pathlib

import numpy as np
import pytest

from sor_jax.convert.families import CENTERMASK, EFFICIENTNET_LITE, MASK_RCNN
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import Checkpoint, read_checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from tests.convert import networks, writers

NAMES = tuple(networks.centermask2("vovnet19_slim", lite=True))


def found(names, **kwargs):
    """recognise, of arrays that are their own places in `names`."""
    arrays = {name: i for i, name in enumerate(names)}
    return recognise(Checkpoint(pathlib.Path("a.pth"), "", arrays), **kwargs)


@pytest.mark.parametrize(
    "front",
    ["_orig_mod.", "module._orig_mod.", "model.", "module.", "net.", "_orig_mod.module.",
     "_forward_module.model._orig_mod.", "lit.detector."],
)  # fmt: skip
def test_a_prefix_of_all_names(front):
    got = found([front + name for name in NAMES])
    assert got.family is CENTERMASK
    assert got.checkpoint.arrays == {name: i for i, name in enumerate(NAMES)}
    assert any(f"{len(NAMES)} of {len(NAMES)} names" in note for note in got.notes)


@pytest.mark.parametrize("front", ["module.", "model.", "module.model."])
@pytest.mark.parametrize("every", [2, 3])
def test_a_prefix_of_some_names(front, every):
    got = found([front + name if i % every else name for i, name in enumerate(NAMES)])
    assert got.checkpoint.arrays == {name: i for i, name in enumerate(NAMES)}


def test_a_part_that_was_compiled_alone():
    names = [name.replace("backbone.bottom_up.", "backbone.bottom_up._orig_mod.") for name in NAMES]
    got = found(names)
    assert tuple(got.checkpoint.arrays) == NAMES
    assert found(NAMES).notes == ()


def test_a_body_inside_of_something_larger():
    """Under a name that nobody foresaw."""
    body = [f"encoder.{name}" for name in networks.body("vovnet39", "")]
    got = found([*body, "decoder.conv.weight"])
    assert got.family is CENTERMASK
    assert set(got.checkpoint.arrays) == {*networks.body("vovnet39", ""), "decoder.conv.weight"}
    assert found(["res.backbone.bottom_up.stem.conv1.weight"]).family is MASK_RCNN


def test_weights_and_their_average_by_prefix():
    names = [*(f"model.{n}" for n in NAMES), *(f"ema_model.module.{n}" for n in NAMES)]
    got = found(names)
    assert got.checkpoint.arrays == {name: i for i, name in enumerate(NAMES)}
    assert any("'ema_model.module.'" in n and "--prefer ema" in n for n in got.notes)
    averaged = found(names, prefer="ema")
    assert averaged.checkpoint.arrays == {n: i + len(NAMES) for i, n in enumerate(NAMES)}


def test_two_networks_of_which_one_has_to_be_named():
    names = [f"{who}.{name}" for who in ("left", "right") for name in NAMES]
    with pytest.raises(ValueError, match="several sets.*'left.', 'right.'.*--prefer"):
        found(names)
    assert next(iter(found(names, prefer="right").checkpoint.arrays.values())) == len(NAMES)
    with pytest.raises(ValueError, match="'ema'.*'left.'"):
        found(names, prefer="ema")
    with pytest.raises(ValueError, match="'ema'.*one set"):
        found(NAMES, prefer="ema")


def test_two_arrays_of_one_name():
    with pytest.raises(ValueError, match=r"holds .*backbone.fpn_output3.bias and module.backbone"):
        found([*NAMES, "module.backbone.fpn_output3.bias"])


def tensor(key, value):
    return writers.whole(key, np.full(2, value, np.float32))


@pytest.mark.parametrize(
    "saved, prefer, key, value",
    [
        ({"model": 1, "model_ema": 2}, "", "model", 1),
        ({"model_ema": 2, "model": 1}, "ema", "model_ema", 2),
        ({"model_ema": 2, "model": 1}, "model", "model", 1),
        ({"state_dict": 1, "ema_state_dict": 2}, "ema", "ema_state_dict", 2),
        ({"state_dict": 1, "state_dict_ema": 2}, "", "state_dict", 1),
        ({"ema_state_dict": 2}, "", "ema_state_dict", 2),
        ({"model": 1, "ema": {"module": 2}}, "ema", "ema", 2),
        ({"net": 1, "epoch": "3"}, "", "net", 1),
        ({"model": {"state_dict": 1}}, "", "model", 1),
        ({"model": 1, "swa": 2, "ema": 3}, "swa", "swa", 2),
    ],
)
def test_which_weights_of_a_file(tmp_path, saved, prefer, key, value):
    def build(item, key="k"):
        if isinstance(item, dict):
            return {name: build(part, key + name) for name, part in item.items()}
        return {"x": tensor(key, item)} if isinstance(item, int) else item

    writers.write_zip(tmp_path / "a.pth", build(saved))
    got = read_checkpoint(tmp_path / "a.pth", prefer=prefer)
    assert (got.key, got.arrays["x"].tolist()) == (key, [value] * 2)
    assert set(got.others) == {k for k, v in saved.items() if v != "3"} - {key}


def test_an_average_that_is_not_there(tmp_path):
    made = {"model": {"_blocks.0._depthwise_conv.weight": tensor("0", 1)}, "optimizer": {}}
    writers.write_zip(tmp_path / "a.pth", made)
    checkpoint = read_checkpoint(tmp_path / "a.pth", prefer="ema")
    with pytest.raises(ValueError, match="'ema'.*'model'"):
        recognise(checkpoint, prefer="ema")
    assert recognise(checkpoint).family is EFFICIENTNET_LITE


def test_weights_under_names_that_say_nothing(tmp_path):
    writers.write_zip(
        tmp_path / "a.pth", {"actor": {"x": tensor("0", 1)}, "critic": {"x": tensor("1", 2)}}
    )
    with pytest.raises(CheckpointError, match="actor, critic"):
        read_checkpoint(tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth", prefer="critic").arrays["x"][0] == 2
