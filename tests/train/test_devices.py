"""The whole model's training step: one device or four, at once or in parts, kept or recomputed."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sor_jax.build import build_model, build_objective
from sor_jax.distributed.sharding import make_mesh, replicated, split
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.state import create_state
from sor_jax.train.step import _split, make_train_step
from tests.small import made_up_batch, small_network

SEEDS = (3, 0)  # and as many objects an image


def run(devices=1, *, accumulate=1, remat=False):
    """Steps of plain gradient descent at rate 1, where the parameters' change is the gradient."""
    config, _, variables = small_network()  # its dropout is on
    config = config.copy_and_resolve_references()
    config.train.remat = remat
    optimizer = make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0, weight_decay=0)
    mesh = make_mesh(jax.devices()[:devices])
    objective = build_objective(config, build_model(config))
    step = make_train_step(objective, optimizer, mesh, accumulate=accumulate)
    gradients, scalars = [], []
    for seed in SEEDS:
        copied = jax.tree.map(np.array, create_state(variables, optimizer, jax.random.key(seed)))
        state = jax.device_put(copied, replicated(mesh))
        batch = made_up_batch(seed, images=4, objects=seed)
        # The last image is a filler, so that no part holds what the others hold.
        batch = batch.replace(valid=batch.valid.at[3].set(False))
        state, values = step(state, jax.device_put(batch, split(mesh)))
        after = jax.device_get(state.params)
        gradients.append(jax.tree.map(lambda a, b: a - b, copied.params, after))
        scalars.append(jax.device_get(values))
    return step, gradients, scalars


def test_parts_of_a_batch_have_its_rows_device_by_device():
    mesh = make_mesh(jax.devices()[:2])
    rows = _split(jnp.arange(8), 2, mesh)
    assert rows.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]  # of devices 0 1 2 3 | 4 5 6 7
    nothing = _split(jnp.zeros((8, 5, 0, 4)), 2, mesh)  # as the edges where none are drawn
    assert nothing.shape == (2, 4, 5, 0, 4)


@pytest.fixture(scope="module")
def plain():
    return run()


@pytest.mark.parametrize(
    "way",
    [{"devices": 4}, {"devices": 2, "accumulate": 2, "remat": True}],
    ids=["four devices", "two devices, two parts, recomputed"],
)
def test_losses_and_gradients_agree(plain, way):
    (_, one, ones), (step, other, others) = plain, run(**way)
    assert ones[0]["rois/foreground"] > 0 and ones[1]["rois/foreground"] == 0
    for a, b in zip(ones, others, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6, err_msg=name)
    for a, b, values in zip(one, other, ones, strict=True):
        scale = float(values["grad_norm"])
        assert scale > 0
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5 * scale)
    assert step._cache_size() == 1  # with and without objects
