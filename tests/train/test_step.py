import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sor_jax.detectors.objective import Sums
from sor_jax.distributed.sharding import make_mesh, make_predict, put, replicated
from sor_jax.losses.reduce import SumCount, ratio
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.state import count_params, create_state
from sor_jax.train.step import make_train_step
from tests.train import toy


def start(mesh, optimizer):
    key = jax.random.key(7)
    state = create_state(toy.init(jax.random.key(1)), optimizer, key)
    return jax.device_put(state, replicated(mesh))


def train(devices, steps=3, objective=toy.objective, optimizer=None):
    mesh = make_mesh(jax.devices()[:devices])
    optimizer = optimizer or make_optimizer("sgd", optax.constant_schedule(0.1))
    step, state, scalars = make_train_step(objective, optimizer, mesh), start(mesh, optimizer), []
    for i in range(steps):
        state, values = step(state, put(toy.numpy_batch(i), mesh))
        scalars.append(jax.device_get(values))
    return step, state, scalars


def test_one_device_and_four_agree():
    # With plain gradient descent at rate 1 the change of the parameters is the gradient.
    plain = make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0, weight_decay=0)
    _, one, ones = train(1, 1, optimizer=plain)
    _, four, fours = train(4, 1, optimizer=plain)
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(four.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    _, _, ones = train(1)
    _, _, fours = train(4)
    for a, b in zip(ones, fours, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5)


def test_whatever_the_batch_holds_there_is_one_compile_and_the_state_is_donated():
    mesh, optimizer = make_mesh(), make_optimizer("adamw", optax.constant_schedule(0.1))
    step, state = make_train_step(toy.objective, optimizer, mesh), start(mesh, optimizer)
    before = jax.tree.leaves(state.params)
    for i in range(4):
        batch = toy.numpy_batch(i)
        batch["gt_valid"][:] = i % 2 == 0
        state, _ = step(state, put(batch, mesh))
    assert step._cache_size() == 1
    assert all(leaf.is_deleted() for leaf in before)
    assert int(state.step) == 4


def test_gradient_norm_and_update_by_finite_differences():
    mesh = make_mesh()
    optimizer = make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0, weight_decay=0)
    state = start(mesh, optimizer)
    batch, key = put(toy.numpy_batch(0), mesh), state.step_key
    params, frozen = jax.device_get((state.params, state.frozen))

    def total(bias):
        head = {**params["head"], "bias": bias}
        return float(toy.objective({**params, "head": head}, frozen, batch, key)[0])

    bias, h = params["head"]["bias"], 0.05
    expected = [(total(bias + h * e) - total(bias - h * e)) / (2 * h) for e in np.eye(3)]
    expected = np.float32(expected)
    state, scalars = make_train_step(toy.objective, optimizer, mesh)(state, batch)
    np.testing.assert_allclose(bias - state.params["head"]["bias"], expected, rtol=1e-3)
    moved = jax.tree.map(lambda a, b: np.sum((a - b) ** 2), params, jax.device_get(state.params))
    np.testing.assert_allclose(
        scalars["grad_norm"], np.sqrt(sum(jax.tree.leaves(moved))), rtol=1e-4
    )


def test_each_step_has_a_key_of_its_own_and_frozen_arrays_stay():
    def noise_only(params, frozen, batch, rng):
        return 0 * params["head"]["bias"].sum(), {"loss/noise": jax.random.uniform(rng)}

    _, state, scalars = train(4, 3, noise_only)
    expected = [jax.random.uniform(jax.random.fold_in(jax.random.key(7), i)) for i in range(3)]
    np.testing.assert_allclose([s["loss/noise"] for s in scalars], expected, rtol=1e-6)
    np.testing.assert_array_equal(state.frozen["norm"]["mean"], np.full(3, 0.5, np.float32))


class Summed:
    """The sum of the bias for every object, each of which counts for a tenth."""

    def __call__(self, params, frozen, batch, rng):
        return self.total(self.sums(params, frozen, batch, None))

    def sums(self, params, frozen, batch, keys):
        count = batch.gt.boxes.valid.sum(dtype=jnp.float32)
        total = params["head"]["bias"].sum() * count
        return Sums({"tenths": SumCount(total, count / 10, least=0.5)}, {})

    def total(self, sums):
        loss = ratio(sums.losses["tenths"])
        return loss, {"loss/tenths": loss}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_least_count_is_the_whole_batchs_in_parts_too(accumulate):
    """Eight objects count for .8, each half for .4, which is below the least."""
    mesh = make_mesh(jax.devices()[:1])
    optimizer = make_optimizer("sgd", optax.constant_schedule(1.0), momentum=0, weight_decay=0)
    state = start(mesh, optimizer)
    batch = toy.numpy_batch(0) | {"gt_valid": np.ones((4, toy.OBJECTS), bool)}
    before = np.asarray(state.params["head"]["bias"])
    step = make_train_step(Summed(), optimizer, mesh, accumulate=accumulate)
    state, _ = step(state, put(batch, mesh))
    np.testing.assert_allclose(before - state.params["head"]["bias"], 8 / 0.8, rtol=1e-6)


def test_a_plain_function_cannot_be_computed_in_parts():
    optimizer = make_optimizer("sgd", optax.constant_schedule(0.1))
    with pytest.raises(TypeError, match="objective.* parts"):
        make_train_step(toy.objective, optimizer, make_mesh(), accumulate=2)


def test_count_params_leaves_frozen_arrays_out():
    assert count_params(toy.init(jax.random.key(0))["params"]) == 3 * 3 + 3 + 3


def test_predict_takes_and_gives_numpy_and_compiles_once():
    traced = []

    def predict(variables, batch):
        traced.append(1)
        return {"sum": batch.image.sum((1, 2, 3)) * variables["scale"], "valid": batch.valid}

    run = make_predict(predict, make_mesh())
    for i in range(3):
        batch = toy.numpy_batch(i)
        out = run({"scale": jnp.float32(2)}, batch)
        assert isinstance(out["sum"], np.ndarray)
        np.testing.assert_allclose(out["sum"], 2.0 * batch["image"].sum((1, 2, 3)))
    assert len(traced) == 1


def test_the_mean_of_the_weights_by_a_loop():
    mesh, optimizer = make_mesh(), make_optimizer("adamw", optax.constant_schedule(0.1))
    state = create_state(toy.init(jax.random.key(1)), optimizer, jax.random.key(7), ema=True)
    step = make_train_step(toy.objective, optimizer, mesh, ema=0.6)
    state = jax.device_put(state, replicated(mesh))
    mean = np.asarray(state.params["head"]["kernel"])
    for i in range(12):
        state, _ = step(state, put(toy.numpy_batch(i), mesh))
        d = min(0.6, (1 + i) / (10 + i))
        mean = d * mean + (1 - d) * np.asarray(state.params["head"]["kernel"])
        np.testing.assert_allclose(state.ema["head"]["kernel"], mean, rtol=1e-5)


def test_a_skipped_step_leaves_the_mean():
    mesh, optimizer = make_mesh(), make_optimizer("adamw", optax.constant_schedule(0.1))
    state = create_state(toy.init(jax.random.key(1)), optimizer, jax.random.key(7), ema=True)
    state = jax.device_put(state, replicated(mesh))

    def objective(params, frozen, batch, rng):
        total, scalars = toy.objective(params, frozen, batch, rng)
        return total * jnp.nan, scalars

    step = make_train_step(objective, optimizer, mesh, ema=0.6, skip_nonfinite=True)
    before = jax.device_get(state.ema)
    state, _ = step(state, put(toy.numpy_batch(0), mesh))
    jax.tree.map(np.testing.assert_array_equal, state.ema, before)
