"""Small networks of timm's, written by timm: our body makes the same maps of the same picture."""

import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.convert.families import TIMM_VOVNET
from sor_jax.convert.families.timm_vovnet import _57B
from sor_jax.convert.fit import FILLED, FRESH, MISMATCH, MISSING, fit
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import Checkpoint, read_checkpoint
from sor_jax.models.vovnet import VoVNet, VoVNetSpec
from tests.convert.test_readers import SAMPLES

WIDTHS = {"conv": (4, 4, 6, 6), "out": (8, 8, 12, 12), "layers": 2}
SPECS = {
    "timm_tiny": VoVNetSpec(**WIDTHS, blocks=(1, 1, 2, 2), stem=(4, 4, 8)),
    "timm_tiny_dw": VoVNetSpec(**WIDTHS, blocks=(1, 1, 1, 1), stem=(4, 4, 4), depthwise=True),
}


@pytest.mark.parametrize("name", SPECS)
def test_the_same_maps(name):
    checkpoint = read_checkpoint(SAMPLES / f"{name}.safetensors")
    family = recognise(checkpoint).family
    body, hw = VoVNet(SPECS[name]), jnp.array([[64, 64]])
    shapes = jax.eval_shape(body.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)), hw)
    expected = {part: {"backbone": shapes[part]} for part in ("params", "frozen")}
    result = fit(checkpoint.arrays, family, expected)
    assert not result.of(MISSING, MISMATCH, FRESH)
    assert len(result.of(FILLED)) == {"timm_tiny": 4, "timm_tiny_dw": 0}[name]
    variables = {part: tree["backbone"] for part, tree in result.variables().items()}

    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8)
    given = family.normalisation(checkpoint)
    assert given.pixel_order == "rgb"
    pixels = image.transpose(0, 2, 3, 1).astype(np.float32)
    x = (pixels - np.array(given.pixel_mean)) / np.array(given.pixel_std)
    maps = jax.jit(body.apply)(variables, x.astype(np.float32), hw)
    with np.load(SAMPLES / f"{name}.npz") as stored:
        for i in range(1, 5):
            there = stored[f"stage{i + 1}"].transpose(0, 2, 3, 1)
            assert np.abs(there).max() > 0.1
            np.testing.assert_allclose(maps[i], there, atol=1e-5 * np.abs(there).max())


def test_normalisation_by_default_and_from_the_config_beside(tmp_path):
    shutil.copy(SAMPLES / "timm_tiny.safetensors", tmp_path / "model.safetensors")
    checkpoint = read_checkpoint(tmp_path / "model.safetensors")
    default = TIMM_VOVNET.normalisation(checkpoint)
    np.testing.assert_allclose(default.pixel_mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(default.pixel_std, [58.395, 57.12, 57.375])
    facts = {"pretrained_cfg": {"mean": [0.5, 0.4, 0.3], "std": [1, 1, 0.2]}}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    published = TIMM_VOVNET.normalisation(checkpoint)
    np.testing.assert_allclose(published.pixel_mean, [127.5, 102.0, 76.5])
    np.testing.assert_allclose(published.pixel_std, [255.0, 255.0, 51.0])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="config.json .*pretrained_cfg.mean"):
        TIMM_VOVNET.normalisation(checkpoint)


def test_57b_was_trained_on_another_scale(tmp_path):
    checkpoint = Checkpoint(pathlib.Path(tmp_path / "a"), "", {_57B: np.zeros(1)})
    assert TIMM_VOVNET.normalisation(checkpoint).pixel_mean == (127.5,) * 3
