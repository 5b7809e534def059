"""Steps with a loss or gradient that is not finite, under on_nonfinite = "skip"."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sor_jax.distributed.sharding import make_mesh, put, replicated
from sor_jax.train.loop import fit
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.state import create_state
from sor_jax.train.step import make_train_step
from tests.train import toy
from tests.train.test_loop import records


def bad_at(*indices):
    """The toy objective with a total of nan, or a gradient of inf, at some batches."""
    images = [toy.numpy_batch(index)["image"] for index in indices]

    def objective(params, frozen, batch, rng):
        total, scalars = toy.objective(params, frozen, batch, rng)
        scale = params["norm1"]["scale"].sum()
        for count, image in enumerate(images):
            here = (batch.image == image).all()
            if count % 2 == 0:
                extra = jnp.where(here, jnp.nan, 0) * scale
            else:  # a finite total: sqrt(0) is 0, its slope is infinite
                extra = jnp.sqrt(jnp.where(here, scale - jax.lax.stop_gradient(scale), 1)) - ~here
            total = total + extra
        return total, {**scalars, "loss/total": total}

    return objective


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_skipped_step_leaves_all_but_the_count_of_steps(name):
    mesh = make_mesh()
    rates = []

    def schedule(count):
        rates.append(count)
        return 0.1 / (1.0 + count)

    optimizer = make_optimizer(name, schedule)
    step = make_train_step(bad_at(1, 2), optimizer, mesh, skip_nonfinite=True)
    fresh = create_state(toy.init(jax.random.key(0)), optimizer, jax.random.key(7))
    state = jax.device_put(fresh, replicated(mesh))
    states, skipped = [], []
    for index in range(4):
        state, scalars = step(state, put(toy.numpy_batch(index), mesh))
        states.append(jax.device_get(state))
        skipped.append(float(scalars["train/skipped_steps"]))
    assert skipped == [0, 1, 1, 0]
    for before, after in zip(states[:2], states[1:3], strict=True):
        jax.tree.map(np.testing.assert_array_equal, before.params, after.params)
        assert int(after.step) == int(before.step) + 1
    counts = [
        leaf.count
        for leaf in jax.tree.leaves(
            states[3].opt_state, is_leaf=lambda x: isinstance(x, optax.ScaleByScheduleState)
        )
        if isinstance(leaf, optax.ScaleByScheduleState)
    ]
    assert [int(count) for count in counts] == [4]  # the rate goes on with the steps
    assert not np.array_equal(states[3].params["head"]["bias"], states[2].params["head"]["bias"])


def test_without_bad_numbers_skipping_changes_nothing(tmp_path):
    plain = fit(toy.experiment(), toy.config(), tmp_path / "plain")
    guarded = fit(toy.experiment(), toy.config(on_nonfinite="skip"), tmp_path / "guarded")
    jax.tree.map(np.testing.assert_array_equal, plain.params, guarded.params)


def test_skipped_steps_are_logged_counted_and_summed_up(tmp_path, capsys):
    config = toy.config(on_nonfinite="skip", log_every=3)
    state = fit(toy.experiment(objective=bad_at(1, 4)), config, tmp_path)
    assert np.isfinite(state.params["head"]["kernel"]).all()
    lines = [r for r in records(tmp_path) if "learning_rate" in r]
    assert [line["train/skipped_steps"] for line in lines] == [1, 2]
    assert all(np.isfinite(line["loss/total"]) for line in lines)
    said = capsys.readouterr().out
    assert "step 2 skipped, not finite: grad_norm = nan, loss/total = nan" in said
    assert "step 5 skipped, not finite: grad_norm = inf" in said
    assert "24 images seen, 2 steps skipped; best by mae" in said


def test_an_interval_without_a_good_step_has_no_means(tmp_path):
    fit(toy.experiment(objective=bad_at(1)), toy.config(on_nonfinite="skip"), tmp_path)
    second = records(tmp_path)[1]
    assert second["step"] == 2 and "loss/total" not in second
    assert second["train/skipped_steps"] == 1


def test_it_gives_up_after_the_limit_and_keeps_the_last_good_state(tmp_path):
    config = toy.config(on_nonfinite="skip", max_skipped_steps=2)
    with pytest.raises(FloatingPointError, match="step 6 .*3 steps .*step 3 "):
        fit(toy.experiment(objective=bad_at(1, 4, 5)), config, tmp_path)


def test_parameters_that_overflow_are_never_saved(tmp_path):
    # Loss and gradient are finite; the step overflows.
    def objective(params, frozen, batch, rng):
        total, scalars = toy.objective(params, frozen, batch, rng)
        return total + 1e15 * params["head"]["bias"].sum(), scalars

    config = toy.config(checkpoint_every=1)
    config.optim.update(learning_rate=1e38, warmup_steps=0)
    with pytest.raises(FloatingPointError, match="parameter .*step 1.*none"):
        fit(toy.experiment(objective=objective), config, tmp_path)
