"""Layers against plain loops, and what they make of padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.models.layers import (
    Conv,
    FrozenBatchNorm,
    GroupNorm,
    norm_layer,
    upsample2,
)
from sor_jax.models.mask_head import Deconv2
from sor_jax.ops.conv import conv2d
from sor_jax.ops.pool import max_pool3


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("features", [1, 4, 12])  # few outputs have a form of their own
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_convolution_pads_one_cell_on_every_side(kernel, stride, features):
    x = normal(2, 6, 8, 3)
    layer = Conv(features, kernel, stride)
    variables = layer.init(jax.random.key(0), x)
    got = layer.apply(variables, x)
    weight, bias = (np.asarray(variables["params"][k]) for k in ("kernel", "bias"))
    pad = kernel // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for i in range(got.shape[1]):
        for j in range(got.shape[2]):
            window = padded[:, i * stride :, j * stride :][:, :kernel, :kernel]
            expected = np.einsum("bhwc,hwcd->bd", window, weight) + bias
            np.testing.assert_allclose(got[:, i, j], expected, atol=1e-5)


@pytest.mark.parametrize("features", [1, 4, 12])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_cotangents_of_a_convolution(kernel, stride, features):
    x, weight = normal(2, 6, 8, 3), normal(kernel, kernel, 3, features, seed=1)
    out, pull = jax.vjp(lambda x, weight: conv2d(x, weight, stride), x, weight)
    cotangent = normal(*out.shape, seed=2)
    pad = kernel // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    to_x, to_weight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            place = np.s_[:, i * stride : i * stride + kernel, j * stride : j * stride + kernel]
            to_weight += np.einsum("bhwc,bd->hwcd", padded[place], cotangent[:, i, j])
            to_x[place] += np.einsum("hwcd,bd->bhwc", weight, cotangent[:, i, j])
    x_bar, weight_bar = pull(cotangent)
    np.testing.assert_allclose(weight_bar, to_weight, atol=1e-4)
    np.testing.assert_allclose(x_bar, to_x[:, pad : 6 + pad, pad : 8 + pad], atol=1e-5)


def test_transposed_convolution_is_one_matrix_a_corner():
    x = normal(2, 3, 4, 5)
    layer = Deconv2(6)
    variables = layer.init(jax.random.key(0), x)
    got = layer.apply(variables, x)
    weight = np.asarray(variables["params"]["kernel"])
    assert got.shape == (2, 6, 8, 6)
    for i in range(6):
        for j in range(8):
            expected = x[:, i // 2, j // 2] @ weight[i % 2, j % 2]
            np.testing.assert_allclose(got[:, i, j], expected, atol=1e-5)


def test_group_norm_sees_the_photograph_alone():
    x = normal(2, 5, 6, 8)
    where = np.zeros((2, 5, 6, 1), bool)
    where[0, :4, :5] = where[1, :2, :3] = True
    layer = GroupNorm(groups=4)
    variables = layer.init(jax.random.key(0), x, where)
    got = layer.apply(variables, np.where(where, x, 1e4).astype(np.float32), where)
    for b, (h, w) in enumerate([(4, 5), (2, 3)]):
        for g in range(4):
            part = x[b, :h, :w, 2 * g : 2 * g + 2]
            expected = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
            np.testing.assert_allclose(got[b, :h, :w, 2 * g : 2 * g + 2], expected, atol=1e-4)


def test_frozen_norm_is_batch_norm_at_inference_and_no_parameter():
    x = normal(1, 2, 2, 3)
    layer = FrozenBatchNorm()
    variables = layer.init(jax.random.key(0), x)
    assert "params" not in variables
    np.testing.assert_allclose(layer.apply(variables, x), x, atol=1e-4)
    frozen = {k: np.abs(normal(3, seed=i)) for i, k in enumerate(("scale", "bias", "mean", "var"))}
    got = layer.apply({"frozen": frozen}, x)
    expected = (x - frozen["mean"]) / np.sqrt(frozen["var"] + 1e-5)
    np.testing.assert_allclose(got, expected * frozen["scale"] + frozen["bias"], atol=1e-5)


def test_an_unknown_norm_is_named():
    with pytest.raises(ValueError, match="'batch'.*'frozen_bn'.*'group'"):
        norm_layer("batch", jnp.float32, "norm")


def test_pools_and_upsampling():
    x = normal(1, 6, 8, 2)
    pooled = max_pool3(jnp.asarray(x))
    assert pooled.shape == (1, 3, 4, 2)
    for i in range(3):
        for j in range(4):
            window = x[0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]  # cut at the far edges
            np.testing.assert_allclose(pooled[0, i, j], window.max(axis=(0, 1)))
    np.testing.assert_array_equal(upsample2(jnp.asarray(x))[0, ::2, 1::2], x[0])
