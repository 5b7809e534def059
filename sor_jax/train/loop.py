"""The training loop. At every step: save? -> evaluate? -> next batch -> step -> log?

Saving comes before the next batch is taken, so that a checkpoint's state and its data position
belong together, and before evaluating, so that nothing in an evaluation can lose training.
"""

import collections
import contextlib
import os
import pathlib

from ml_collections import ConfigDict

from sor_jax.metrics.scoreboard import Scoreboard
from sor_jax.train.checkpoint import Checkpoints
from sor_jax.train.experiment import Experiment, build_experiment, build_optimizer, build_schedule
from sor_jax.train.logging import MetricsLog, duration, training_line
from sor_jax.train.meter import Meter
from sor_jax.train.periodic import PeriodicEvaluation
from sor_jax.train.resume import first_state
from sor_jax.train.sharding import make_mesh, put
from sor_jax.train.signals import StopRequest
from sor_jax.train.state import TrainState
from sor_jax.train.step import make_train_step

_IN_FLIGHT = 2  # steps that the host may run ahead; the batch of each lies on the devices


def train_and_evaluate(config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """Trains what a config describes, going on where the workdir's last checkpoint ends.

    Leaves in the workdir: checkpoints/ (the last and the best), best.json, metrics.jsonl,
    tensorboard/, examples/STEP/ID.png and config.json. On SIGTERM or SIGINT it ends the step or
    breaks the evaluation off, saves and returns. A loss or gradient that is not finite raises
    FloatingPointError and is never saved.

    Returns:
      The state after the last step done; its `step` is below config.train.steps if a signal came.
    """
    return fit(build_experiment(config), config, workdir)


def fit(experiment: Experiment, config: ConfigDict, workdir: str | os.PathLike) -> TrainState:
    """As train_and_evaluate, for an experiment that is built already."""
    _check_metric(config.eval.best_metric)
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(experiment.train_batches.close)
        checkpoints = Checkpoints(workdir, best_metric=config.eval.best_metric)
        stack.callback(checkpoints.close)
        mesh = make_mesh(config.train.batch_size)
        state = first_state(experiment, config, mesh, checkpoints)
        (workdir / "config.json").write_text(config.to_json_best_effort(indent=1) + "\n")
        log = MetricsLog(workdir, start_step=int(state.step))
        stack.callback(log.close)
        evaluation = PeriodicEvaluation(experiment, config.eval, workdir, mesh, log)
        stop = stack.enter_context(StopRequest())
        loop = _Loop(experiment, config, mesh, checkpoints, log, evaluation, stop)
        return loop.run(state)


class _Loop:
    def __init__(self, experiment, config, mesh, checkpoints, log, evaluation, stop):
        self._batches, self._mesh = experiment.train_batches, mesh
        self._step = make_train_step(experiment.objective, build_optimizer(config), mesh)
        self._rate, self._config = build_schedule(config), config.train
        self._at_start = config.eval.at_start
        self._metric = config.eval.best_metric
        self._checkpoints, self._log = checkpoints, log
        self._evaluation, self._stop = evaluation, stop
        self._meter = Meter(config.train.batch_size)
        self._in_flight = collections.deque()

    def run(self, state: TrainState) -> TrainState:
        first, steps = int(state.step), self._config.steps
        for done in range(first, steps + 1):
            stopping = self._stop.requested
            if done > first and (stopping or self._save_due(done)):
                self._save(done, state)
            if not stopping and self._evaluation_due(done):
                stopping = not self._evaluate(done, state)
            if stopping or done == steps:
                break
            state = self._train(done, state)
            if done == first:
                self._report_compiling(state)
            if _due(done + 1, self._config.log_every) or done + 1 == steps:
                self._write_line(done + 1)
        self._say_goodbye(int(state.step))
        return state

    def _save_due(self, done: int) -> bool:
        """Every state that may be evaluated is saved, or it could not be kept as the best."""
        config = self._config
        regular = _due(done, config.checkpoint_every) or _due(done, config.eval_every)
        return regular or done == config.steps

    def _evaluation_due(self, done: int) -> bool:
        config = self._config
        wanted = _due(done, config.eval_every) or done == config.steps
        wanted = self._at_start if done == 0 else wanted
        return wanted and not self._log.has(done, "eval/")

    def _save(self, done: int, state: TrainState) -> None:
        self._check()
        self._checkpoints.save(done, state, self._batches)
        self._meter.restart_clock()

    def _evaluate(self, done: int, state: TrainState) -> bool:
        """Returns whether the evaluation got to its end."""
        metrics = self._evaluation(done, state, self._stop)
        self._meter.restart_clock()
        if metrics is None:
            return False
        if done > 0:
            self._checkpoints.note_score(done, metrics.get(self._metric))
        self._log.write(done, {f"eval/{name}": value for name, value in metrics.items()})
        return True

    def _train(self, done: int, state: TrainState) -> TrainState:
        batch = next(self._batches)
        left_out = {"data/objects_left_out": float(batch["objects_left_out"].sum())}
        state, scalars = self._step(state, put(batch, self._mesh))
        self._meter.add(done + 1, {**scalars, **left_out})
        self._in_flight.append(scalars["loss/total"])
        if len(self._in_flight) > _IN_FLIGHT:
            self._in_flight.popleft().block_until_ready()
        return state

    def _report_compiling(self, state: TrainState) -> None:
        """Waits for the first step, so that compiling does not count as speed."""
        state.step.block_until_ready()
        print(f"first step, with compiling: {duration(self._meter.seconds)}", flush=True)
        self._meter.restart_clock()

    def _write_line(self, done: int) -> None:
        self._check()
        values = {**self._meter.summary(), "rate": float(self._rate(done - 1))}
        if "images_per_second" in values:
            images_left = (self._config.steps - done) * self._config.batch_size
            values["seconds_left"] = images_left / values["images_per_second"]
        self._log.write(done, values)
        print(training_line(done, self._config.steps, values), flush=True)

    def _check(self) -> None:
        try:
            self._meter.check()
        except FloatingPointError as error:
            last = self._checkpoints.last_step
            kept = f"step {last} in {self._checkpoints.folder(last)}" if last else "none yet"
            raise FloatingPointError(
                f"{error}. The last good checkpoint stays: {kept}. Try a lower optim.rate or "
                "optim.clip_norm, or look at the data of these steps"
            ) from None

    def _say_goodbye(self, done: int) -> None:
        steps, last = self._config.steps, self._checkpoints.last_step
        saved = f"saved in {self._checkpoints.folder(last)}" if last else "nothing to save yet"
        if done < steps:
            print(f"stopped after step {done} of {steps}, {saved}", flush=True)
            print("the same command goes on from there", flush=True)
        else:
            best = self._checkpoints.best_step
            scored = f"step {best}" if best else "none"
            print(f"all {steps} steps are done, {saved}; best by {self._metric}: {scored}")


def _check_metric(name: str) -> None:
    names = list(Scoreboard().result())
    if name and name not in names:
        raise ValueError(
            f"config.eval.best_metric is {name!r}; expected one of {', '.join(names)}, or '' to "
            "keep the last checkpoint only"
        )


def _due(step: int, every: int) -> bool:
    return step > 0 and every > 0 and step % every == 0
