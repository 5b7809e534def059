"""The whole model's training step on one device and on four."""

import jax
import numpy as np
import optax
import pytest

from sor_jax.build import build_objective
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.sharding import make_mesh, replicated, split
from sor_jax.train.state import create_state
from sor_jax.train.step import make_train_step
from tests.small import made_up_batch, small_network


def run(devices, seeds):
    """Steps of plain gradient descent at rate 1, where the parameters' change is the gradient."""
    config, model, variables = small_network()
    optimizer = make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0, weight_decay=0)
    mesh = make_mesh(jax.devices()[:devices])
    step = make_train_step(build_objective(config, model), optimizer, mesh)
    gradients, scalars = [], []
    for seed in seeds:
        copied = jax.tree.map(np.array, create_state(variables, optimizer, jax.random.key(seed)))
        state = jax.device_put(copied, replicated(mesh))
        batch = made_up_batch(seed, images=4, objects=seed)
        state, values = step(state, jax.device_put(batch, split(mesh)))
        after = jax.device_get(state.params)
        gradients.append(jax.tree.map(lambda a, b: a - b, copied.params, after))
        scalars.append(jax.device_get(values))
    return step, gradients, scalars


@pytest.fixture(scope="module")
def both():
    return run(1, (3, 0)), run(4, (3, 0))


def test_losses_and_gradients_agree(both):
    (_, one, ones), (_, four, fours) = both
    assert ones[0]["rois/foreground"] > 0 and ones[1]["rois/foreground"] == 0
    for a, b in zip(ones, fours, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for a, b, values in zip(one, four, ones, strict=True):
        scale = float(values["grad_norm"])
        assert scale > 0
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5 * scale)


def test_batches_with_and_without_objects_take_one_compile(both):
    for step, _, _ in both:
        assert step._cache_size() == 1
