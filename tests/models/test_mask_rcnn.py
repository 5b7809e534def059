"""Sizes of the published Mask R-CNN models, what trains in them, and shapes of every part."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from configs.reference import mask_rcnn
from sor_jax import build
from sor_jax.models.fpn import FeaturePyramid
from sor_jax.models.resnet import RESNETS, Bottleneck, ResNet, ResNetSpec
from tests.models.test_parts import count, shapes


def frozen_kernels(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): x.size for path, x in leaves if "kernel" in str(path[-1])}


@pytest.mark.parametrize(
    ("config", "total", "trained"),
    [
        ("r50", 110_575_617, 110_353_217),
        ("r101", 129_515_521, 129_293_121),
    ],
)
def test_parameters_of_the_original(config, total, trained):
    variables = shapes(mask_rcnn.get_config(config))
    params, frozen = variables["params"], frozen_kernels(variables["frozen"])
    assert count(params) == trained
    assert trained + sum(frozen.values()) == total
    assert all("stem" in name or "stage2" in name for name in frozen)
    assert count(params["rpn"]) == 593_935
    assert count(params["box"]) == 13_895_680 + 6_150
    assert count(params["mask"]) == 2_622_977
    assert count(params["ranking"]) == 66_657_579
    assert "iou" not in params


@pytest.mark.parametrize(
    ("name", "total"),
    [("resnet50", 23_454_912), ("resnet101", 42_394_816), ("resnet50_v1.5", 23_454_912)],
)
def test_bodies(name, total):
    body = ResNet(RESNETS[name], frozen_stages=0)
    x, hw = jnp.zeros((2, 64, 96, 3)), jnp.array([[64, 96], [40, 50]])
    out, variables = jax.eval_shape(body.init_with_output, jax.random.key(0), x, hw)
    assert count(variables["params"]) == total
    for stage, stride, width in zip(
        out, (4, 4, 8, 16, 32), (64, 256, 512, 1024, 2048), strict=True
    ):
        assert stage.shape == (2, 64 // stride, 96 // stride, width)


def convolved(x, kernel, stride):
    """[h, w, C] by scipy, every channel apart; k // 2 cells of zeros around."""
    pad = kernel.shape[0] // 2
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    out = [
        sum(
            scipy.signal.correlate2d(padded[..., c], kernel[..., c, d], "valid")
            for c in range(x.shape[-1])
        )
        for d in range(kernel.shape[-1])
    ]
    return np.stack(out, axis=-1)[::stride, ::stride]


@pytest.mark.parametrize("stride_in_3x3", [False, True])
def test_where_a_block_has_its_stride(stride_in_3x3):
    """In the first convolution as in the paper, or in the 3x3 one as torchvision has it."""
    rng = np.random.default_rng(0)
    x = np.abs(rng.normal(size=(6, 8, 4))).astype(np.float32)
    block = Bottleneck(2, 2, stride_in_3x3)
    where = np.ones((1, 6, 8, 1), bool), np.ones((1, 3, 4, 1), bool)
    variables = block.init(jax.random.key(0), x[None], *where)
    kernel = {name: np.asarray(unit["conv"]["kernel"])
              for name, unit in variables["params"].items()}  # fmt: skip
    first, second = (1, 2) if stride_in_3x3 else (2, 1)
    scale = 1 / np.sqrt(1 + 1e-5)  # of a norm as it starts
    y = np.maximum(convolved(x, kernel["unit1"], first) * scale, 0)
    y = np.maximum(convolved(y, kernel["unit2"], second) * scale, 0)
    y = convolved(y, kernel["unit3"], 1) * scale
    expected = np.maximum(y + convolved(x, kernel["shortcut"], 2) * scale, 0)
    got = block.apply(variables, x[None], *where)[0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_from_scratch_nothing_is_frozen():
    config = importlib.import_module("configs.mask_rcnn_r50").get_config()
    config.model.norm = "group"
    assert not shapes(config).get("frozen", {})


def test_a_body_alone_and_in_padding_sees_the_same():
    body = ResNet(ResNetSpec((2, 1, 1, 1), width=4), norm="group")
    image = np.random.default_rng(0).normal(size=(1, 57, 70, 3)).astype(np.float32)

    def padded(height, width):
        x = np.zeros((1, height, width, 3), np.float32)
        x[:, :57, :70] = image
        return x, jnp.array([[57, 70]])

    small, large = padded(64, 96), padded(128, 160)
    variables = jax.jit(body.init)(jax.random.key(0), *small)
    apply = jax.jit(body.apply)
    for a, b in zip(apply(variables, *small), apply(variables, *large), strict=True):
        np.testing.assert_allclose(b[:, : a.shape[1], : a.shape[2]], a, atol=1e-4)
        assert not b[:, a.shape[1] :].any() and not b[:, :, a.shape[2] :].any()


def test_the_last_level_is_every_other_cell():
    stages = [np.ones((1, 64 // s, 96 // s, 4), np.float32) for s in (4, 8, 16, 32)]
    pyramid, hw = FeaturePyramid(8, top="subsample"), jnp.array([[64, 96]])
    levels, variables = pyramid.init_with_output(jax.random.key(0), stages, hw)
    assert [level.shape[1:3] for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    np.testing.assert_array_equal(levels[4], levels[3][:, ::2, ::2])
    assert sorted(variables["params"]) == sorted(
        f"{n}{k}" for n in ("lateral", "output") for k in (2, 3, 4, 5)
    )


def test_unknown_words_are_named():
    config = importlib.import_module("configs.mask_rcnn_r50").get_config()
    config.model.detector = "mask-rcnn"
    with pytest.raises(ValueError, match="'mask-rcnn'.*centermask, mask_rcnn"):
        build.build_model(config)
    with pytest.raises(ValueError, match="top is 'pool'"):
        FeaturePyramid(8, top="pool").init(jax.random.key(0), [], jnp.array([[64, 96]]))
