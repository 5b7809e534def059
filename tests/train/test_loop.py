import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.checkpoints.weights import load_variables
from sor_jax.train.loop import fit, train_and_evaluate
from tests.train import toy


def run(workdir, config=None, **parts):
    return fit(toy.experiment(**parts), config or toy.config(), workdir)


def records(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def numbers(workdir):
    """The records without what depends on the clock."""
    clock = ("images_per_second", "seconds_left", "input_wait")
    return [{k: v for k, v in record.items() if k not in clock} for record in records(workdir)]


def assert_same_bits(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


class Killed(BaseException):
    """Stands for a process that ends at once."""


def kill_at(index):
    def before(i):
        if i == index:
            raise Killed

    return toy.Batches(before)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_six_steps_are_three_and_three_bit_for_bit(tmp_path, ema):
    straight = run(tmp_path / "straight", toy.config(ema=ema))
    # The batch after step 5 never comes; the last checkpoint is that of step 3.
    with pytest.raises(Killed):
        run(tmp_path / "resumed", toy.config(ema=ema), train_batches=kill_at(5))
    assert [r["step"] for r in records(tmp_path / "resumed") if "learning_rate" in r] == [
        1,
        2,
        3,
        4,
        5,
    ]
    batches = toy.Batches()
    resumed = run(tmp_path / "resumed", toy.config(ema=ema), train_batches=batches)
    assert batches.index == 6 and batches.closed
    assert int(resumed.step) == 6
    assert_same_bits(resumed, straight)
    assert numbers(tmp_path / "resumed") == numbers(tmp_path / "straight")


def test_evaluations_are_logged_drawn_and_choose_the_best(tmp_path, capsys):
    config = toy.config(eval_every=2, log_every=3)
    config.eval.at_start = True
    run(tmp_path, config)
    evaluated = [r for r in records(tmp_path) if "eval/mae" in r]
    assert [r["step"] for r in evaluated] == [0, 2, 4, 6]
    assert all(r["eval/images"] == 5 for r in evaluated)
    assert [r["step"] for r in records(tmp_path) if "learning_rate" in r] == [3, 6]

    best = min((r for r in evaluated if r["step"]), key=lambda r: (r["eval/mae"], r["step"]))
    noted = json.loads((tmp_path / "best.json").read_text())
    assert noted == {"step": best["step"], "metric": "mae", "value": best["eval/mae"]}
    kept = {int(name) for name in os.listdir(tmp_path / "checkpoints")}
    assert {best["step"], 6} <= kept and len(kept) <= 3
    pictures = sorted(p.name for p in (tmp_path / "examples" / "0000004" / "toy").iterdir())
    assert pictures == [f"{i}.png" for i in range(5)]
    said = capsys.readouterr().out
    assert "evaluation on val after step 6" in said and "MAE" in said
    assert json.loads((tmp_path / "config.json").read_text())["train"]["steps"] == 6


def test_a_finished_run_does_nothing_more_and_a_longer_one_goes_on(tmp_path, capsys):
    run(tmp_path)
    before = records(tmp_path)
    state = run(tmp_path)
    assert int(state.step) == 6 and records(tmp_path) == before
    assert "all 6 steps are done" in capsys.readouterr().out
    assert int(run(tmp_path, toy.config(steps=8)).step) == 8
    assert [r["step"] for r in records(tmp_path) if "learning_rate" in r] == list(range(1, 9))


def test_means_between_lines_rate_and_objects_left_out(tmp_path):
    run(tmp_path / "each")
    run(tmp_path / "third", toy.config(log_every=3))
    each = [r for r in records(tmp_path / "each") if "learning_rate" in r]
    third = [r for r in records(tmp_path / "third") if "learning_rate" in r]
    for name in ("loss/total", "grad_norm", "data/objects_left_out"):
        expected = [np.mean([r[name] for r in part]) for part in (each[:3], each[3:])]
        np.testing.assert_allclose([r[name] for r in third], expected, rtol=1e-6)
    left_out = [int(toy.numpy_batch(i)["objects_left_out"].sum()) for i in range(6)]
    assert [r["data/objects_left_out"] for r in each] == left_out
    np.testing.assert_allclose(
        [r["learning_rate"] for r in each], [0.01, 0.055, 0.1, 0.1, 0.01, 0.01], rtol=1e-5
    )


def test_the_log_says_how_often_each_set_of_a_mixture_has_come(tmp_path):
    run(tmp_path, epochs=lambda num_images: {"duts": num_images / 8})
    lines = [r for r in records(tmp_path) if "learning_rate" in r]
    assert [r["data/epoch/duts"] for r in lines] == [0.5, 1, 1.5, 2, 2.5, 3]


@pytest.mark.parametrize("log_every, checkpoint_every", [(1, 3), (0, 4), (50, 4)])
def test_a_loss_that_is_not_finite_stops_and_is_not_saved(tmp_path, log_every, checkpoint_every):
    seventh = toy.numpy_batch(6)["image"]

    def objective(params, frozen, batch, rng):
        total, scalars = toy.objective(params, frozen, batch, rng)
        mask = (
            jnp.where((batch.image == seventh).all(), jnp.nan, 1) * params["norm1"]["scale"].sum()
        )
        return total + mask, {**scalars, "loss/mask": mask}

    config = toy.config(steps=12, log_every=log_every, checkpoint_every=checkpoint_every)
    good = 6 // checkpoint_every * checkpoint_every
    with pytest.raises(FloatingPointError) as error:
        run(tmp_path, config, objective=objective)
    text = str(error.value)
    assert text.startswith("step 7 is not finite: ")
    for name in ("loss/total = nan", "loss/mask = nan", "grad_norm = nan"):
        assert name in text
    assert "loss/rank" not in text
    assert f"step {good} in {tmp_path}/checkpoints/{good}" in text
    kept = [str(step) for step in (good - checkpoint_every, good) if step]
    assert sorted(os.listdir(tmp_path / "checkpoints")) == kept
    assert all(r["step"] <= 6 for r in records(tmp_path))


def test_init_from_starts_at_the_best_weights_of_another_run(tmp_path):
    run(tmp_path / "first")
    config = toy.config(steps=1)
    config.init_from = str(tmp_path / "first")
    config.optim.learning_rate = 1e-30
    state = run(tmp_path / "second", config)
    loaded = load_variables(tmp_path / "first", state.variables)
    jax.tree.map(np.testing.assert_array_equal, state.variables, loaded)
    fresh = run(tmp_path / "third", toy.config(steps=1))
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_array_equal, state.variables, fresh.variables)


def test_another_model_in_the_workdir_is_refused(tmp_path):
    run(tmp_path)
    with pytest.raises(ValueError, match=r"params/head/bias has shape \(3,\), .* \(4,\)"):
        run(tmp_path, init=lambda rng: toy.init(rng, width=4))


def test_an_unknown_best_metric_is_named_before_anything_starts(tmp_path):
    config = toy.config()
    config.eval.best_metric = "sor_mlti"
    with pytest.raises(ValueError, match="best_metric .*'sor_mlti'.*mae, sor"):
        train_and_evaluate(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("log_every, killed", [(2, 5), (4, 4), (5, 5)])
def test_means_that_a_kill_cuts_in_two_are_the_same(tmp_path, log_every, killed):
    config = toy.config(log_every=log_every)
    run(tmp_path / "straight", config)
    with pytest.raises(Killed):
        run(tmp_path / "resumed", config, train_batches=kill_at(killed))
    run(tmp_path / "resumed", config)
    assert numbers(tmp_path / "resumed") == numbers(tmp_path / "straight")
    assert [r["data/examples_seen"] for r in records(tmp_path / "resumed") if "learning_rate" in r][
        -1
    ] == 24


def test_the_profiler_traces_the_steps_that_are_asked_for(tmp_path, capsys):
    run(tmp_path, toy.config(profile_steps=(2, 3)))
    assert f"profiler trace: {tmp_path}/profile" in capsys.readouterr().out
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000


def test_the_mean_of_the_weights_is_what_is_evaluated_loaded_and_started_from(tmp_path):
    seen = []

    def predict(variables, batch):
        jax.debug.callback(seen.append, variables["params"]["head"]["bias"])
        return toy.predict(variables, batch)

    state = run(tmp_path / "first", toy.config(ema=0.5, eval_every=6), predict=predict)
    bias = np.asarray(state.ema["head"]["bias"])
    assert (bias != np.asarray(state.params["head"]["bias"])).all()
    jax.effects_barrier()
    np.testing.assert_array_equal(seen[-1], bias)
    loaded = load_variables(tmp_path / "first", state.variables)
    np.testing.assert_array_equal(loaded["params"]["head"]["bias"], bias)
    config = toy.config(steps=1, ema=0.9)
    config.init_from = str(tmp_path / "first")
    config.optim.learning_rate = 1e-30
    started = run(tmp_path / "second", config)
    for params in (started.params, started.ema):
        np.testing.assert_allclose(params["head"]["bias"], bias, rtol=1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_mean_is_not_begun_or_given_up_half_way(tmp_path, ema):
    run(tmp_path, toy.config(ema=ema))
    with pytest.raises(ValueError, match=r"config\.train\.ema"):
        fit(toy.experiment(), toy.config(ema=0.5 - ema, steps=9), tmp_path, force=["train.ema"])
