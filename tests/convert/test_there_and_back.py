"""From the original's names and layouts to ours and back, on every manifest that there is."""

import functools
import os
import pathlib
import zlib

import jax
import numpy as np
import pytest

from sor_jax import build
from sor_jax.convert.families import ORIGINALS
from sor_jax.convert.fit import fit, variables_to_torch
from tests.parity import golden, recipe
from tests.small import small_config


def manifests():
    """Manifests beside SOR_GOLDENS, else the committed one; skipped where the model is not here."""
    goldens = os.environ.get("SOR_GOLDENS")
    folder = pathlib.Path(goldens).parent if goldens else golden.SLICE
    params = []
    for path in sorted(folder.glob("manifest_*.json")):
        model = path.stem.removeprefix("manifest_")
        skip = pytest.mark.skip(reason=f"there is no config of {model} in configs/reference")
        params.append(pytest.param(path, id=model, marks=[] if model in golden.CONFIGS else skip))
    return params


def numbered(shape, start):
    """An array whose elements all differ (below 2**24), so that none can be exchanged."""
    size = int(np.prod(shape))
    return (np.arange(size, dtype=np.float32) + np.float32(start)).reshape(shape)


@functools.cache
def expected(model):
    config = golden.config(model)
    config.init_from = "somewhere"
    module = build.build_model(config)
    return jax.eval_shape(lambda: build.init_variables(module, jax.random.key(0)))


@pytest.mark.parametrize("path", manifests())
def test_identity_on_a_manifest(path):
    arrays = {
        name: numbered(shape, zlib.crc32(name.encode()) % 1000)
        for name, shape, _ in recipe.read_manifest(path)
    }
    model = path.stem.removeprefix("manifest_")
    family = ORIGINALS[golden.config(model).model.detector]
    variables = fit(arrays, family, expected(model)).variables()
    back = variables_to_torch(variables, family=family)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array), name


def small_variables(**ranking):
    config = small_config()
    config.model.update(norm="frozen_bn", backbone="vovnet19_slim_dw")
    config.model.ranking.update(ranking)
    config.init_from = "somewhere"
    module = build.build_model(config)
    shapes = jax.eval_shape(lambda: build.init_variables(module, jax.random.key(0)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def test_identity_from_our_side():
    variables = small_variables()
    back = fit(variables_to_torch(variables), ORIGINALS["centermask"], variables).variables()
    jax.tree.map(np.testing.assert_array_equal, back, variables)


def test_what_the_original_has_no_name_for_is_listed():
    with pytest.raises(ValueError, match="params/ranking/scale_e"):
        variables_to_torch(small_variables(position="grid_scale"))
