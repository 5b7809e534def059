"""Small networks of timm's, written by timm: our body makes the same maps of the same picture."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from sor_jax.convert.families import TIMM_VOVNET
from sor_jax.convert.families.timm_vovnet import _57B
from sor_jax.convert.fit import FILLED
from sor_jax.convert.readers import Checkpoint, read_checkpoint
from sor_jax.models.vovnet import VoVNet, VoVNetSpec
from tests.convert.published import HW, assert_same_maps, published
from tests.convert.test_readers import SAMPLES

WIDTHS = {"conv": (4, 4, 6, 6), "out": (8, 8, 12, 12), "layers": 2}
SPECS = {
    "timm_tiny": VoVNetSpec(**WIDTHS, blocks=(1, 1, 2, 2), stem=(4, 4, 8)),
    "timm_tiny_dw": VoVNetSpec(**WIDTHS, blocks=(1, 1, 1, 1), stem=(4, 4, 4), depthwise=True),
}


@pytest.mark.parametrize("name", SPECS)
def test_the_same_maps(name):
    body = VoVNet(SPECS[name])
    theirs = published(f"{name}.safetensors", body)
    assert len(theirs.result.of(FILLED)) == {"timm_tiny": 4, "timm_tiny_dw": 0}[name]
    assert_same_maps(jax.jit(body.apply)(theirs.variables, theirs.image, HW), theirs.stages, 4)


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
