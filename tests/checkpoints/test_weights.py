import jax
import numpy as np
import pytest

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.weights import (
    check_same_model,
    init_variables_from,
    load_variables,
    save_variables,
)
from tests.checkpoints.test_checkpoint import Position, make_state
from tests.train import toy


def abstract_variables(**settings):
    return jax.eval_shape(lambda key: toy.init(key, **settings), jax.random.key(0))


@pytest.fixture
def workdir(tmp_path):
    checkpoints = Checkpoints(tmp_path, best_metric="sor")
    for step, score in ((1, 0.5), (2, 0.9), (3, 0.1)):
        checkpoints.save(step, make_state(step), Position(0))
        checkpoints.note_score(step, score)
    checkpoints.close()
    return tmp_path


def assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("prefer, step", [("best", 2), ("last", 3)])
def test_a_workdir_gives_its_best_or_its_last_variables(workdir, prefer, step):
    got = load_variables(workdir, abstract_variables(), prefer=prefer)
    assert_trees_equal(got, make_state(step).variables)


def test_one_checkpoint_can_be_named(workdir):
    got = load_variables(workdir / "checkpoints" / "3", abstract_variables())
    assert_trees_equal(got, make_state(3).variables)


def test_a_parameter_of_another_shape_is_named(workdir):
    message = r"params/head/bias has shape \(3,\), the model's has \(5,\)"
    with pytest.raises(ValueError, match=message):
        load_variables(workdir, abstract_variables(width=5))
    with pytest.raises(ValueError, match=message):
        init_variables_from(workdir, toy.init(jax.random.key(0), width=5))


def renamed(variables):
    params = {"top": variables["params"]["head"], "norm1": variables["params"]["norm1"]}
    return {"params": params, "frozen": {}}


def test_another_model_is_refused_with_names(workdir):
    with pytest.raises(ValueError, match="params/top/bias, params/top/kernel .*frozen"):
        load_variables(workdir, renamed(abstract_variables()))
    with pytest.raises(ValueError, match="is of another model"):
        check_same_model(workdir / "checkpoints" / "3", renamed(abstract_variables()))
    check_same_model(workdir / "checkpoints" / "3", abstract_variables())


def test_init_takes_what_is_shared_and_names_the_rest(workdir, caplog):
    fresh = renamed(toy.init(jax.random.key(5)))
    fresh["params"]["norm1"] = {"scale": np.full(3, 9, np.float32)}
    got = init_variables_from(workdir, fresh)
    assert_trees_equal(got["params"]["top"], fresh["params"]["top"])
    np.testing.assert_array_equal(got["params"]["norm1"]["scale"], np.ones(3))
    assert got["frozen"] == {}
    assert "lacks params/top/bias, params/top/kernel: they keep their start" in caplog.text
    assert "the model has no frozen/norm/mean, params/head/bias" in caplog.text


def test_init_from_something_unrelated_is_an_error(workdir):
    fresh = {"params": {"other": {"kernel": np.zeros(2)}}, "frozen": {}}
    with pytest.raises(ValueError, match="frozen/norm"):
        init_variables_from(workdir, fresh)


def test_variables_alone_can_be_written_and_read(tmp_path):
    variables = {"params": toy.init(jax.random.key(3))["params"], "frozen": {}}
    save_variables(tmp_path / "weights", variables)
    assert_trees_equal(load_variables(tmp_path / "weights", variables), variables)
    fresh = {"params": toy.init(jax.random.key(4))["params"], "frozen": {}}
    assert_trees_equal(init_variables_from(tmp_path / "weights", fresh), variables)
