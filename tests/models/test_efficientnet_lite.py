"""EfficientNet-Lite against its published facts, plain loops and other paddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.models.efficientnet_lite import (
    EFFICIENTNET_LITES,
    Classifier,
    EfficientNetLite,
    InvertedResidual,
    LiteSpec,
    StageSpec,
)
from sor_jax.models.layers import ConvNorm
from sor_jax.ops.depthwise import depthwise_conv2d, grouped, shifted

LITE0 = EFFICIENTNET_LITES["efficientnet_lite0"]
TINY = LiteSpec(
    stem=4,
    stages=tuple(
        StageSpec(blocks, kernel, stride, expand, 6)
        for blocks, kernel, stride, expand in [
            (1, 3, 1, 1),
            (2, 3, 2, 2),
            (1, 5, 2, 2),
            (1, 3, 2, 2),
            (1, 5, 2, 2),
        ]
    ),
)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def shapes(module, hw):
    x = jnp.zeros((2, *hw, 3))
    return jax.eval_shape(module.init_with_output, jax.random.key(0), x, jnp.array([hw, hw]))


@pytest.mark.parametrize(("lite", "published"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_the_published_number_of_parameters(lite, published):
    spec = EFFICIENTNET_LITES[f"efficientnet_lite{lite}"]
    logits, variables = shapes(Classifier(spec), (64, 64))
    assert logits.shape == (2, 1000)
    trained = jax.tree.leaves(variables["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables["frozen"]):
        trained += [leaf] * (path[-1].key in ("scale", "bias"))  # theirs are trained
    assert sum(leaf.size for leaf in trained) == published


def test_strides_and_widths_of_the_maps():
    maps, variables = shapes(EfficientNetLite(LITE0), (64, 96))
    assert [m.shape for m in maps] == [
        (2, 32, 48, 96),
        (2, 16, 24, 144),
        (2, 8, 12, 240),
        (2, 4, 6, 672),
        (2, 2, 3, 1280),
    ]
    kernels = [
        variables["params"][f"block_{i}"]["depthwise"]["depthwise"]["kernel"].shape
        for i in range(16)
    ]
    assert [k[0] for k in kernels] == [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    inside = [32, 96, 144, 144, 240, 240, 480, 480, 480, 672, 672, 672, 1152, 1152, 1152, 1152]
    assert [k[3] for k in kernels] == inside


def chosen(stride, x, kernel):
    return depthwise_conv2d(x, kernel, stride)


@pytest.mark.parametrize("form", [grouped, shifted, chosen])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_depthwise_convolution_is_one_kernel_a_channel(form, side, stride):
    x, kernel = normal(2, 7, 6, 3), normal(side, side, 1, 3, seed=1)
    got = form(stride, jnp.asarray(x), jnp.asarray(kernel))
    pad = side // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    assert got.shape == (2, -(-7 // stride), -(-6 // stride), 3)
    for i in range(got.shape[1]):
        for j in range(got.shape[2]):
            window = padded[:, i * stride :, j * stride :][:, :side, :side]
            expected = (window * kernel[:, :, 0]).sum((1, 2))
            np.testing.assert_allclose(got[:, i, j], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "stride", "hw"), [(3, 1, (7, 9)), (3, 2, (8, 7)), (5, 2, (7, 8)), (5, 2, (2, 5))]
)
def test_both_forms_have_the_same_gradient(side, stride, hw):
    x, kernel = jnp.asarray(normal(1, *hw, 2)), jnp.asarray(normal(side, side, 1, 2, seed=1))
    pulled = []
    for form in (grouped, chosen):
        out, pull = jax.vjp(lambda x, kernel, form=form: form(stride, x, kernel), x, kernel)
        pulled.append(pull(jnp.asarray(normal(*out.shape, seed=2))))
    for a, b in zip(*pulled, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("side", [3, 5])
def test_strides_pad_less_before_than_behind(side):
    """TensorFlow's rule at even sides: side - 2 cells in all, the smaller half before."""
    x, where = normal(1, 6, 8, 2), np.ones((1, 3, 4, 1), bool)
    unit = ConvNorm(0, side, 2, activation=None, tensorflow=True, epsilon=1e-3)
    variables = unit.init(jax.random.key(0), x, where)
    got = unit.apply(variables, x, where)
    kernel = np.asarray(variables["params"]["depthwise"]["kernel"])[:, :, 0]
    before = (side - 2) // 2
    padded = np.pad(x, ((0, 0), (before, side), (before, side), (0, 0)))
    for i in range(3):
        for j in range(4):
            window = padded[:, 2 * i : 2 * i + side, 2 * j : 2 * j + side]
            expected = (window * kernel).sum((1, 2)) / np.sqrt(1 + 1e-3)
            np.testing.assert_allclose(got[:, i, j], expected, atol=1e-5)


def test_a_block_adds_its_input_and_ends_without_activation():
    x, where = normal(1, 4, 4, 3), np.ones((1, 4, 4, 1), bool)
    outputs = {}
    for identity in (False, True):
        block = InvertedResidual(2, 3, 1, 3, identity=identity)
        variables = block.init(jax.random.key(0), x, where, where)
        outputs[identity], wide = block.apply(variables, x, where, where)
        assert wide.shape == (1, 4, 4, 6)
    np.testing.assert_allclose(outputs[True], outputs[False] + x, atol=1e-6)
    assert (outputs[False] < 0).any()


@pytest.mark.parametrize("norm", ["frozen_bn", "group"])
def test_padding_changes_nothing_inside_the_photograph(norm):
    hw = jnp.array([[50, 70]])
    photo = normal(1, 50, 70, 3)
    body = EfficientNetLite(TINY, norm=norm)
    maps, variables = [], None
    for canvas in ((64, 96), (128, 160)):
        x = np.zeros((1, *canvas, 3), np.float32)
        x[:, :50, :70] = photo
        if variables is None:
            variables = jax.jit(body.init)(jax.random.key(0), x, hw)
            # Shifts would make the padding bright if nobody cut it off.
            variables = jax.tree.map(lambda leaf: leaf + 0.1, variables)
        maps.append(jax.jit(body.apply)(variables, x, hw))
    for stride, tight, wide in zip((2, 4, 8, 16, 32), *maps, strict=True):
        h, w = -(-50 // stride), -(-70 // stride)
        assert np.abs(tight[:, :h, :w]).max() > 0.01
        np.testing.assert_allclose(tight[:, :h, :w], wide[:, :h, :w], atol=1e-5)
        for padded in (tight, wide):
            assert not padded[:, h:].any()
            assert not padded[:, :, w:].any()
