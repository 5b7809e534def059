"""What is taken from checkpoints of centermask2, as their code describes them, with no values."""

import functools

import jax
import numpy as np
import pytest

from configs import base
from sor_jax import build
from sor_jax.convert.families import CENTERMASK, TIMM_VOVNET, TIMM_VOVNET_DW
from sor_jax.convert.fit import FILLED, FRESH, MAPPED, MISMATCH, MISSING, UNUSED, allowed, fit
from sor_jax.convert.table import table
from tests.convert import networks

CLASS_SHAPED = {
    f"params/{part}/{leaf}"
    for part in ("fcos/class_logit", "mask/predictor", "iou/iou")
    for leaf in ("kernel", "bias")
}


@functools.cache
def shapes_of(backbone, lite=False, norm="frozen_bn"):
    config = base.get_config()
    config.model.update(backbone=backbone, norm=norm)
    config.init_from = "somewhere"
    if lite:
        networks.lite(config)
    model = build.build_model(config)
    return jax.eval_shape(lambda: build.init_variables(model, jax.random.key(0)))


def names(entries):
    return {entry.ours or entry.theirs for entry in entries}


@pytest.mark.parametrize(
    "backbone, lite",
    [("vovnet19_slim_dw", True), ("vovnet19_slim", True), ("vovnet19", True), ("vovnet39", True),
     ("vovnet39", False), ("vovnet57", False)],
)  # fmt: skip
def test_coco_checkpoints_of_centermask2(backbone, lite):
    arrays = networks.zeros(networks.centermask2(backbone, lite=lite))
    result = fit(arrays, CENTERMASK, shapes_of(backbone, lite), allow_missing=["ranking"])
    assert not result.of(UNUSED, MISSING, MISMATCH, FILLED)
    fresh = names(result.of(FRESH))
    assert {name for name in fresh if not name.startswith("params/ranking/")} == CLASS_SHAPED
    scales = 5 - 1  # five numbers there, one vector here
    assert len(result.of(MAPPED)) == len(arrays) - len(CLASS_SHAPED) - scales
    notes = {entry.note for entry in result.of(FRESH) if entry.ours in CLASS_SHAPED}
    assert notes == {"80 classes in the file, 1 in the model"}


@pytest.mark.parametrize("backbone", networks.BODIES)
def test_bodies_trained_on_imagenet(backbone):
    arrays = networks.zeros(networks.body(backbone, ""))
    rest = ["pyramid", "fcos,mask", "iou", "ranking/*"]
    result = fit(arrays, CENTERMASK, shapes_of(backbone), allow_missing=rest)
    assert len(result.of(MAPPED)) == len(arrays)
    assert not result.of(UNUSED, MISSING, MISMATCH, FILLED)
    assert not any("backbone" in name for name in names(result.of(FRESH)))


def timm(kind):
    """timm's names, from those of detectron2's: the same network but for the eSE."""
    _, _, blocks, depthwise = networks.BODIES[kind]
    unit = (("/dw_conv3x3", ".conv_dw"), ("/pw_conv1x1", ".conv_pw"), ("/pw_norm", ".bn"))
    out = {"head.fc.weight": (1000, 1024), "head.fc.bias": (1000,)}
    for name, shape in networks.body(kind, "").items():
        for there, here in (*unit, ("/conv", ".conv"), ("/norm", ".bn")):
            name = name.replace(there, here)
        head, *parts = name.split(".")
        if head == "stem":
            number, parts = parts[0][-1], parts[1:]
            new = ["stem", str(int(number) - 1), *parts]
        else:
            stage, block = (int(n) for n in parts[0][3:].split("_"))
            kinds = {"layers": "conv_mid", "concat": "conv_concat", "ese": "attn"}
            middle = kinds.get(parts[1], parts[1])
            if middle == "attn" and block < blocks[stage - 2]:
                continue
            rest = parts[2:] if middle in ("conv_mid", "attn") else parts[3:]
            rest = [part for part in rest if not part.startswith("OSA")]
            new = ["stages", str(stage - 2), "blocks", str(block - 1), middle, *rest]
        out[".".join(new)] = shape
        if name.endswith("running_var"):
            out[".".join([*new[:-1], "num_batches_tracked"])] = ()
    return out


@pytest.mark.parametrize("kind", ["vovnet39", "vovnet57", "vovnet19", "vovnet19_dw"])
def test_timm_backbones(kind):
    family = TIMM_VOVNET_DW if kind.endswith("dw") else TIMM_VOVNET
    arrays = networks.zeros(timm(kind))
    expected = {part: {"backbone": shapes_of(kind)[part]["backbone"]} for part in
                ("params", "frozen")}  # fmt: skip
    result = fit(arrays, family, expected)
    assert not result.of(FRESH, MISSING, MISMATCH)
    assert all("num_batches" in n or "head.fc" in n for n in names(result.of(UNUSED)))
    gates = {"vovnet39": 2, "vovnet57": 5}.get(kind, 0)
    assert len(result.of(FILLED)) == 2 * gates
    for entry in result.of(FILLED):
        value = 0 if entry.ours.endswith("kernel") else 3
        assert np.all(result.arrays[entry.ours] == value)


def test_a_last_block_without_its_gate_is_an_error():
    arrays = networks.zeros(timm("vovnet39"))
    del arrays["stages.3.blocks.1.attn.fc.weight"]
    rest = ["pyramid,fcos,mask,iou,ranking"]
    result = fit(arrays, TIMM_VOVNET, shapes_of("vovnet39"), allow_missing=rest)
    assert names(result.of(MISSING)) == {"params/backbone/stage5_2/ese/kernel"}


def test_what_does_not_fit_is_told_apart():
    arrays = networks.zeros(networks.centermask2("vovnet19_slim", lite=True, classes=1))
    arrays["roi_heads.mask_head.predictor.weight"] = np.zeros((80, 64, 1, 1), np.float32)
    arrays["roi_heads.maskiou_head.maskiou_fc2.weight"] = np.zeros((1024, 7), np.float32)
    arrays["roi_heads.maskiou_head.maskiou_fc1.weight"] = np.zeros((1024, 50), np.float32)
    arrays["backbone.fpn_output3.weight"] = np.zeros(128, np.float32)
    del arrays["proposal_generator.fcos_head.scales.1.scale"]
    del arrays["backbone.fpn_lateral3.bias"]
    arrays["roi_heads.box_head.fc1.weight"] = np.zeros((2, 2), np.float32)
    arrays["backbone.bottom_up.stage2.OSA2_9.ese.fc.bias"] = np.zeros(2, np.float32)
    arrays["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    result = fit(arrays, CENTERMASK, shapes_of("vovnet19_slim", True), allow_missing=["ranking"])
    assert names(result.of(MISSING)) == {"params/pyramid/lateral3/bias"}
    notes = {entry.ours: entry.note for entry in result.of(MISMATCH)}
    assert notes == {
        "params/mask/predictor/kernel": "(1, 1, 64, 80) in the file, (1, 1, 128, 1) in the model",
        "params/iou/fc2/kernel": "(7, 1024) in the file, (1024, 1024) in the model",
        "params/iou/fc1/kernel": "(1024, 50) in the file reads 50 numbers, expected maps of 7x7, "
        "the model's is (6272, 1024)",
        "params/pyramid/output3/kernel": "(128,) in the file has 1 axes, expected 4, the model's "
        "is (3, 3, 128, 128)",
        "params/fcos/scale": "not one number each, counted from 0, the model's is (5,)",
    }
    assert names(result.of(UNUSED)) == {
        "roi_heads.box_head.fc1.weight",
        "params/backbone/stage2_9/ese/bias",
        "pixel_mean",
    }


def test_the_table_counts_and_names():
    arrays = networks.zeros(networks.centermask2("vovnet19_slim", lite=True))
    arrays["extra"] = np.zeros(3)
    del arrays["backbone.fpn_lateral3.bias"]
    text = table(fit(arrays, CENTERMASK, shapes_of("vovnet19_slim", True)))
    lines = text.splitlines()
    assert lines[0].startswith("mapped") and "pyramid 15" in lines[0]
    assert any(line.startswith("re-initialised     6  fcos 2, iou 2, mask 2") for line in lines)
    told = "params/mask/predictor/kernel <- roi_heads.mask_head.predictor.weight: 80 classes in"
    assert told in text
    assert "missing           65  pyramid 1, ranking 64" in lines
    assert "               params/pyramid/lateral3/bias" in lines
    assert "               ranking/*, 64 arrays" in lines
    assert "               extra: has no place in this kind of model" in lines
    assert lines[-1] == "shape mismatch     0"


def test_the_table_names_a_part_of_a_part_one_by_one():
    arrays = networks.zeros(networks.centermask2("vovnet19_slim", lite=True))
    gone = [name for name in arrays if "bbox_tower" in name]
    assert len(gone) == 8
    result = fit({k: v for k, v in arrays.items() if k not in gone}, CENTERMASK,
                 shapes_of("vovnet19_slim", True), allow_missing=["ranking"])  # fmt: skip
    text = table(result)
    assert "ranking/*, 64 arrays: not in the file; allowed by --allow-missing" in text
    for i in range(2):
        for leaf in (f"tower_{i}/kernel", f"tower_{i}/bias", f"norm_{i}/scale", f"norm_{i}/bias"):
            assert f"\n               params/fcos/box_{leaf}\n" in text


def test_the_table_counts_what_is_no_weight():
    text = table(fit(networks.zeros(timm("vovnet19")), TIMM_VOVNET, shapes_of("vovnet19")))
    assert "               stem.0.bn.num_batches_tracked and 18 more: a counter of batch" in text
    assert "               head.fc.bias: the classifier" in text


@pytest.mark.parametrize(
    "pattern, fits",
    [("ranking", True), ("ranking/*", True), ("params/ranking/conv1/kernel", True),
     ("*/kernel", True), ("rank", False), ("ranking/conv", False), ("ranking/conv*", True),
     ("mask,ranking", True), ("frozen/ranking", False), ("", False)],
)  # fmt: skip
def test_patterns(pattern, fits):
    assert allowed("params/ranking/conv1/kernel", [pattern]) == fits


def test_trained_norms_find_nothing_in_a_frozen_checkpoint():
    arrays = networks.zeros(networks.body("vovnet19_slim", ""))
    result = fit(arrays, CENTERMASK, shapes_of("vovnet19_slim", norm="group"))
    assert "params/backbone/stem_1/norm/scale" in names(result.of(MISSING))
    assert "frozen/backbone/stem_1/norm/mean" in names(result.of(UNUSED))
