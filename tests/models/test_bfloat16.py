"""What stays float32 when layers compute in bfloat16: outputs that are compared, and positions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import logging

from sor_jax import build
from sor_jax.models.fcos import FcosHead
from sor_jax.models.layers import EPSILON, FrozenBatchNorm
from sor_jax.models.mask_head import MaskIouHead
from sor_jax.models.ranking import RankingHead
from sor_jax.models.rcnn_heads import BoxHead, RpnHead
from sor_jax.structures import Boxes
from tests.small import small_config, small_network

BF16 = jnp.bfloat16
HW = jnp.array([[64, 96]])
BOXES = Boxes(jnp.array([[[8.0, 8, 32, 40], [40, 10, 64, 50]]]), jnp.ones((1, 2), bool))


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def heads():
    """{name: its outputs}, of layers that compute in bfloat16."""
    levels = [normal(1, 64 // s, 96 // s, 8).astype(BF16) for s in (8, 16)]
    regions = normal(1, 2, 14, 14, 10)

    def outputs(module, *args, **kwargs):
        return module.init_with_output(jax.random.key(0), *args, **kwargs)[0]

    fcos = outputs(FcosHead(8, 1, prior=0.3, dtype=BF16), levels, HW, (8, 16))
    rpn = outputs(RpnHead(8, dtype=BF16), levels)
    box = outputs(BoxHead(16, dtype=BF16), regions.astype(BF16))
    iou = outputs(MaskIouHead(8, 1, 16, BF16), regions.astype(BF16), jnp.ones((1, 2, 28, 28)))
    sizes = {"channels": 8, "depth": 1, "hidden": (16, 16), "layers": 1, "heads": 2, "ffn": 8}
    rank = RankingHead("maps", dtype=BF16, **sizes)
    ranks = outputs(rank, regions, jnp.ones((1, 2, 28, 28)), BOXES, HW)
    return {
        **{f"fcos {name}": value for name, value in vars(fcos).items()},
        **{f"rpn {name}": value for name, value in vars(rpn).items()},
        **{f"box {name}": value for name, value in vars(box).items()},
        "mask iou": iou,
        "rank": ranks,
    }


def test_outputs_are_finer_than_bfloat16():
    """Of a layer that computes in bfloat16 every value would be one that bfloat16 has."""
    for name, value in heads().items():
        value = np.asarray(value)
        assert value.dtype == np.float32, name
        nonzero = value[value != 0]
        coarse = np.asarray(jnp.asarray(nonzero).astype(BF16).astype(jnp.float32))
        assert nonzero.size and np.mean(coarse != nonzero) > 0.9, name


def test_a_frozen_norm_rounds_once():
    """By a mean that is large beside the deviation, where bfloat16 would lose the difference."""
    x = (normal(4, 7, 16) + 30).astype(BF16)
    frozen = {"mean": jnp.full(16, 30.0), "var": jnp.full(16, 0.5)}
    frozen |= {"scale": jnp.full(16, 1.5), "bias": jnp.full(16, 0.25)}
    found = FrozenBatchNorm(BF16).apply({"frozen": frozen}, x)
    assert found.dtype == BF16
    expected = (np.asarray(x, np.float64) - 30) / np.sqrt(0.5 + EPSILON) * 1.5 + 0.25
    # Half of bfloat16's step, 2^-8 of the value at most, and float32's rounding of 30 * factor.
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, rtol=2**-8, atol=2e-5)


def test_pooled_coordinates_are_those_of_float32():
    """In bfloat16 the places of a row of 1000 pixels are up to 2 pixels off."""
    _, model, _ = small_network()
    hw, canvas = jnp.array([[600, 1000]]), (608, 1024)
    xyxy = np.random.default_rng(0).uniform(0, 500, (1, 6, 2)).astype(np.float32)
    boxes = Boxes(jnp.concatenate([xyxy, xyxy + 24.0], -1), jnp.ones((1, 6), bool))
    strides = model.strides[: len(model.roi_levels)]
    levels = [normal(1, *(side // s for side in canvas), 3) for s in strides]
    maps = {}
    for dtype in (jnp.float32, BF16):
        pooled, _ = model.pool([level.astype(dtype) for level in levels], boxes, hw)
        assert pooled.shape == (1, 6, 14, 14, 5)
        maps[dtype] = np.asarray(pooled[..., -2:])
    np.testing.assert_array_equal(maps[BF16], maps[jnp.float32])


def test_what_a_token_knows_of_the_place_is_finer_than_bfloat16():
    """Half a pixel of 1000 moves it; the rest of the head computes in bfloat16."""
    sizes = {"channels": 8, "depth": 1, "hidden": (16, 16), "layers": 1, "heads": 2, "ffn": 8}
    head = RankingHead("maps", dtype=BF16, **sizes)
    places = jnp.full((1, 2, 14, 14, 2), 0.75)
    features, prob = normal(1, 2, 14, 14, 4), jnp.ones((1, 2, 28, 28))
    seen = []
    variables = None
    for moved in (0.0, 0.0005):
        pooled = jnp.concatenate([features, places + moved], -1)
        if variables is None:
            variables = head.init(jax.random.key(0), pooled, prob, BOXES, HW)
        _, state = head.apply(variables, pooled, prob, BOXES, HW, mutable="intermediates",
                              capture_intermediates=True)  # fmt: skip
        seen.append(np.asarray(state["intermediates"]["conv1"]["__call__"][0]))
    assert np.mean(seen[0] != seen[1]) > 0.9


@pytest.mark.parametrize(("backend", "expected"), [("cpu", jnp.float32), ("gpu", BF16)])
def test_auto_takes_bfloat16_on_accelerators_alone(monkeypatch, backend, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert build.compute_dtype("auto") == expected
    assert build.compute_dtype("float32") == jnp.float32
    config = small_config()
    config.train.dtype = "auto"
    assert build.build_model(config).dtype == expected
    with pytest.raises(ValueError, match="config.train.dtype is 'half'.*auto"):
        build.compute_dtype("half")


def test_bfloat16_on_a_cpu_gets_a_word(monkeypatch):
    told = []
    monkeypatch.setattr(logging, "log_first_n", lambda level, text, n: told.append(text))
    for backend in ("gpu", "cpu"):
        monkeypatch.setattr(jax, "default_backend", lambda name=backend: name)
        assert build.compute_dtype("bfloat16") == BF16
        assert len(told) == (backend == "cpu")
