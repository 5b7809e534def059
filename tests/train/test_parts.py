"""Training of some parts alone: the others stay as they are, bit for bit."""

import jax
import numpy as np
import optax
import pytest
from flax import traverse_util

from sor_jax.build import build_objective
from sor_jax.distributed.sharding import make_mesh
from sor_jax.train.optimizer import (
    PartialObjective,
    build_optimizer,
    is_trained,
    make_optimizer,
    train_only,
)
from sor_jax.train.state import create_state
from sor_jax.train.step import make_train_step
from tests.small import made_up_batch, small_network


def test_three_steps_change_the_ranking_branch_alone():
    """With weight decay and momentum, which move parameters without a gradient, too."""
    config, model, variables = small_network()
    config = config.copy_and_resolve_references()
    config.optim.update(trainable=("ranking",), weight_decay=0.1, warmup_steps=0)
    objective = PartialObjective(build_objective(config, model), ("ranking",))
    before = jax.tree.map(np.array, variables["params"])
    optimizer = build_optimizer(config.optim)
    state = create_state(jax.tree.map(lambda x: x + 0, variables), optimizer, jax.random.key(0))
    step = make_train_step(objective, optimizer, make_mesh(jax.devices()[:1]))
    for _ in range(3):
        state, scalars = step(state, made_up_batch())
    assert scalars["loss/fcos_class"] > 0 and scalars["loss/mask"] > 0
    flat = traverse_util.flatten_dict(jax.device_get(state.params))
    changed = {
        path[0]
        for path, old in traverse_util.flatten_dict(before).items()
        if old.tobytes() != flat[path].tobytes()
    }
    assert changed == {"ranking"}
    unmoved = [
        path
        for path, old in traverse_util.flatten_dict(before["ranking"]).items()
        if np.array_equal(old, flat[("ranking", *path)])
    ]
    assert not unmoved


def test_the_trained_part_moves_as_if_it_were_alone():
    """Clipping sees the gradients of the trained part, not those of the others."""
    params = {"a": np.float32([3.0, 4.0]), "b": np.float32([1e6])}
    grads = {"a": np.float32([6.0, 8.0]), "b": np.float32([1e9])}
    plain = make_optimizer("sgd", optax.constant_schedule(0.1), clip_norm=1.0)
    partial = train_only(plain, ("a",))
    updates, _ = partial.update(grads, partial.init(params), params)
    alone, own = {"a": params["a"]}, {"a": grads["a"]}
    expected, _ = plain.update(own, plain.init(alone), alone)
    np.testing.assert_array_equal(updates["a"], expected["a"])
    np.testing.assert_array_equal(updates["b"], 0.0)


def test_a_part_that_the_model_lacks_is_named():
    with pytest.raises(ValueError, match="rankng.* backbone, ranking"):
        is_trained({"ranking": {}, "backbone": {}}, ("rankng",))
