"""Weights of others rank photographs: converted, then loaded from their folder alone."""

import jax
import numpy as np
import pytest

import sor_jax
from sor_jax import build
from sor_jax.convert.conversion import convert
from sor_jax.convert.fit import variables_to_torch
from sor_jax.ranker import Ranker
from tests.convert import writers
from tests.door.models import photograph
from tests.small import small_config, small_network


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """(config, variables, path of the same as a .pth)."""
    config = small_config()
    config.model.norm = "frozen_bn"
    config.init_from = "somewhere"
    config.model.proposals.test.class_threshold = 0.005
    network = build.build_model(config)
    variables = build.init_variables(network, jax.random.key(1))
    # The heads of the network whose ranks differ; the body's norms are the file's.
    variables["params"]["ranking"] = small_network()[2]["params"]["ranking"]
    variables = jax.tree.map(np.asarray, variables)
    arrays = variables_to_torch(variables)
    value = {name: writers.whole(str(i), array) for i, (name, array) in enumerate(arrays.items())}
    path = tmp_path_factory.mktemp("foreign") / "theirs.pth"
    writers.write_zip(path, {"model": value})
    return config, variables, path


def test_converted_weights_are_loaded_by_their_folder(foreign, tmp_path, capsys):
    config, variables, path = foreign
    convert(path, config, tmp_path / "ours")
    assert not (tmp_path / "ours/state").exists()  # orbax's
    ranker = sor_jax.load(tmp_path / "ours")
    image = photograph(0)
    config = config.copy_and_resolve_references()
    config.model.update(pixel_order="bgr", pixel_mean=(103.53, 116.28, 123.675))
    config.model.pixel_std = (1.0,) * 3
    expected = Ranker(variables, config)(image)
    found = ranker(image)
    assert len(found) >= 1
    assert found.ranks == expected.ranks
    np.testing.assert_array_equal(found.rank_map(), expected.rank_map())


def test_a_start_for_training_is_refused(foreign, tmp_path, capsys):
    config, variables, path = foreign
    arrays = {k: v for k, v in variables_to_torch(variables).items() if "sor_head" not in k}
    value = {name: writers.whole(str(i), array) for i, (name, array) in enumerate(arrays.items())}
    writers.write_zip(tmp_path / "body.pth", {"model": value})
    convert(tmp_path / "body.pth", config, tmp_path / "start", allow_missing=("ranking",))
    with pytest.raises(ValueError, match="start for training"):
        sor_jax.load(tmp_path / "start")
