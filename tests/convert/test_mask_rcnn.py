"""What is taken from detectron2's checkpoints, as their code describes them, with no values.

Names and shapes are stated here a second time, on their own: not read from the rename tables.
"""

import functools
import importlib
import math
import pathlib

import jax
import numpy as np
import pytest

from sor_jax import build
from sor_jax.convert.families import MASK_RCNN, RESNET
from sor_jax.convert.fit import FRESH, MAPPED, UNUSED, fit
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from sor_jax.models.resnet import ResNet, ResNetSpec
from tests.convert import networks
from tests.convert.published import HW, assert_same_maps, published

BLOCKS = {"r50": (3, 4, 6, 3), "r101": (3, 4, 23, 3)}
CLASS_SHAPED = {
    f"params/{part}/{leaf}"
    for part in ("box/class_logit", "box/delta", "mask/predictor")
    for leaf in ("kernel", "bias")
}


def body(kind, stem, convolution):
    """{name: shape}; `convolution(stage, block, which)` names those of a block, 0 its shortcut."""
    shapes = {}

    def unit(names, *shape):
        weight, norm, leaves = names
        shapes[weight] = shape
        shapes.update({norm + leaf: (shape[0],) for leaf in leaves})

    unit(stem, 64, 3, 7, 7)
    channels = 64
    for stage, blocks in enumerate(BLOCKS[kind], start=2):
        inner = 64 * 2 ** (stage - 2)
        for block in range(blocks):
            name = functools.partial(convolution, stage, block)
            if block == 0:
                unit(name(0), 4 * inner, channels, 1, 1)
            unit(name(1), inner, channels, 1, 1)
            unit(name(2), inner, inner, 3, 3)
            unit(name(3), 4 * inner, inner, 1, 1)
            channels = 4 * inner
    return shapes


def detectron2_body(kind):
    leaves = ("weight", "bias", "running_mean", "running_var")

    def name(path):
        path = f"backbone.bottom_up.{path}"
        return f"{path}.weight", f"{path}.norm.", leaves

    def convolution(stage, block, which):
        return name(f"res{stage}.{block}.{f'conv{which}' if which else 'shortcut'}")

    return body(kind, name("stem.conv1"), convolution)


def msra_body(kind):
    leaves = ("gamma", "beta", "running_mean", "running_var")

    def convolution(stage, block, which):
        path = f"res{stage}_{block}_branch" + ("1", "2a", "2b", "2c")[which]
        return f"{path}_w", f"{path}_bn_", leaves

    shapes = body(kind, ("conv1_w", "res_conv1_bn_", leaves), convolution)
    return shapes | {"conv1_b": (64,), "fc1000_w": (1000, 2048), "fc1000_b": (1000,)}


def coco(kind):
    """A Mask R-CNN of 80 classes."""
    shapes = detectron2_body(kind)

    def layer(name, *shape):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, (shape[0],)

    for level, channels in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        layer(f"backbone.fpn_lateral{level}", 256, channels, 1, 1)
        layer(f"backbone.fpn_output{level}", 256, 256, 3, 3)
    rpn = "proposal_generator.rpn_head."
    layer(f"{rpn}conv", 256, 256, 3, 3)
    layer(f"{rpn}objectness_logits", 3, 256, 1, 1)
    layer(f"{rpn}anchor_deltas", 12, 256, 1, 1)
    layer("roi_heads.box_head.fc1", 1024, 256 * 7 * 7)
    layer("roi_heads.box_head.fc2", 1024, 1024)
    layer("roi_heads.box_predictor.cls_score", 81, 1024)
    layer("roi_heads.box_predictor.bbox_pred", 320, 1024)
    for i in range(1, 5):
        layer(f"roi_heads.mask_head.mask_fcn{i}", 256, 256, 3, 3)
    shapes["roi_heads.mask_head.deconv.weight"] = 256, 256, 2, 2
    shapes["roi_heads.mask_head.deconv.bias"] = (256,)
    layer("roi_heads.mask_head.predictor", 80, 256, 1, 1)
    anchors = {f"proposal_generator.anchor_generator.cell_anchors.{i}": (3, 4) for i in range(5)}
    return shapes | anchors


def expected(kind, frozen_stages=2, backbone=None):
    config = importlib.import_module(f"configs.mask_rcnn_{kind}").get_config()
    config.model.frozen_stages = frozen_stages
    config.model.backbone = backbone or config.model.backbone
    config.init_from = "somewhere"
    model = build.build_model(config)
    return jax.eval_shape(lambda: build.init_variables(model, jax.random.key(0)))


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("frozen_stages", [2, 0])
def test_coco_checkpoints_of_detectron2(kind, frozen_stages):
    arrays = networks.zeros(coco(kind))
    assert recognise(Checkpoint(pathlib.Path("a"), "", arrays)).family is MASK_RCNN
    result = fit(arrays, MASK_RCNN, expected(kind, frozen_stages), allow_missing=["ranking"])
    assert {entry.status for entry in result.entries} == {MAPPED, FRESH, UNUSED}
    fresh = {entry.ours for entry in result.of(FRESH)}
    assert {name for name in fresh if not name.startswith("params/ranking/")} == CLASS_SHAPED
    assert len(result.of(UNUSED)) == 5  # the anchors
    assert len(result.of(MAPPED)) == len(arrays) - len(CLASS_SHAPED) - 5
    kernels = "params" if frozen_stages == 0 else "frozen"
    assert f"{kernels}/backbone/stem/conv/kernel" in result.arrays
    assert f"{kernels}/backbone/stage2_3/unit2/conv/kernel" in result.arrays
    assert "params/backbone/stage3_1/unit2/conv/kernel" in result.arrays


@pytest.mark.parametrize("kind", BLOCKS)
def test_bodies_trained_on_imagenet(kind):
    arrays = networks.zeros(msra_body(kind))
    assert recognise(Checkpoint(pathlib.Path("a"), "", arrays)).family is MASK_RCNN
    rest = ["pyramid,rpn,box,mask,ranking"]
    result = fit(arrays, MASK_RCNN, expected(kind), allow_missing=rest)
    assert {entry.status for entry in result.entries} == {MAPPED, FRESH, UNUSED}
    assert {entry.theirs for entry in result.of(UNUSED)} == {"conv1_b", "fc1000_w", "fc1000_b"}
    assert len(result.of(MAPPED)) == len(arrays) - 3
    assert not any("backbone" in entry.ours for entry in result.of(FRESH))


def torchvision_body(kind):
    """torchvision's and timm's names, with the classifier and the counters."""
    leaves = ("weight", "bias", "running_mean", "running_var")

    def convolution(stage, block, which):
        path = f"layer{stage - 1}.{block}."
        conv, norm = (f"conv{which}", f"bn{which}") if which else ("downsample.0", "downsample.1")
        return f"{path}{conv}.weight", f"{path}{norm}.", leaves

    shapes = body(kind, ("conv1.weight", "bn1.", leaves), convolution)
    counters = {f"{name.removesuffix('running_var')}num_batches_tracked": ()
                for name in shapes if name.endswith("running_var")}  # fmt: skip
    return shapes | counters | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


@pytest.mark.parametrize("kind", BLOCKS)
def test_bodies_of_torchvision_and_timm(kind):
    """torchvision's resnet50 has 25,557,032 parameters and resnet101 44,549,160."""
    shapes = torchvision_body(kind)
    published = {"r50": 25_557_032, "r101": 44_549_160}[kind]
    trained = [s for n, s in shapes.items() if "running" not in n and "num_batches" not in n]
    assert sum(math.prod(shape) for shape in trained) == published
    arrays = networks.zeros(shapes)
    family, checkpoint, _ = recognise(Checkpoint(pathlib.Path("a"), "", arrays))
    assert family is RESNET
    assert family.normalisation(checkpoint).pixel_order == "rgb"
    rest = ["pyramid,rpn,box,mask,ranking"]
    backbone = f"resnet{kind[1:]}_v1.5"
    result = fit(arrays, family, expected(kind, backbone=backbone), allow_missing=rest)
    assert {entry.status for entry in result.entries} == {MAPPED, FRESH, UNUSED}
    assert all("num_batches" in e.theirs or "fc." in e.theirs for e in result.of(UNUSED))
    assert not any("backbone" in entry.ours for entry in result.of(FRESH))


def test_weights_for_a_stride_in_another_place_are_refused():
    """Names and shapes are equal, so nothing else would tell."""
    RESNET.check_body("resnet50_v1.5")
    MASK_RCNN.check_body("resnet50")
    with pytest.raises(ValueError, match="'resnet50'.*resnet50_v1.5"):
        RESNET.check_body("resnet50")
    with pytest.raises(ValueError, match="'resnet101_v1.5': .*resnet101"):
        MASK_RCNN.check_body("resnet101_v1.5")


@pytest.mark.parametrize(
    "name", ["layer1.0.se.conv_reduce.weight", "conv1.3.weight", "layer2.0.downsample.2.weight"]
)
def test_relatives_of_resnet_with_other_layers_are_refused(name):
    arrays = networks.zeros(torchvision_body("r50") | {name: (64, 64, 1, 1)})
    with pytest.raises(CheckpointError, match=f"a layer that ours has not .{name}"):
        RESNET.normalisation(Checkpoint(pathlib.Path("a"), "", arrays))


def test_the_same_maps_as_torchvision():
    """A small network of torchvision's blocks, written by torchvision."""
    body = ResNet(ResNetSpec((2, 1, 1, 1), width=4, stride_in_3x3=True), frozen_stages=0)
    theirs = published("torchvision_tiny.pth", body)
    assert_same_maps(jax.jit(body.apply)(theirs.variables, theirs.image, HW), theirs.stages, 5)
    other = ResNet(ResNetSpec((2, 1, 1, 1), width=4), frozen_stages=0)
    *_, last = jax.jit(other.apply)(theirs.variables, theirs.image, HW)
    assert np.abs(last - theirs.stages[4]).max() > 0.01 * np.abs(theirs.stages[4]).max()
