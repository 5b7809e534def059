"""The training loop. At every step: save? -> evaluate? -> next batch -> step -> log?

Saving comes before the next batch is taken, so that a checkpoint's state and its data position
belong together, and before evaluating, so that nothing in an evaluation can lose training.
"""

import collections
import contextlib
import os
import pathlib
from collections.abc import Sequence

from ml_collections import ConfigDict

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.provenance import initial_config
from sor_jax.config import notes, validate
from sor_jax.distributed.hosts import as_primary_says, duration, is_alone, is_primary, say
from sor_jax.distributed.sharding import make_mesh
from sor_jax.train.experiment import Experiment, build_experiment
from sor_jax.train.feed import BatchFeed
from sor_jax.train.log import LEFT_OUT, MetricsLog, NoLog, closing_lines, training_line
from sor_jax.train.meter import Meter, RunPosition
from sor_jax.train.optimizer import build_optimizer, build_schedule
from sor_jax.train.periodic import PeriodicEvaluation, Trace
from sor_jax.train.run import StopRequest, claim, record_environment
from sor_jax.train.state import TrainState, initial_state
from sor_jax.train.step import all_finite, make_train_step

_IN_FLIGHT = 2  # steps that the host may run ahead; the batch of each lies on the devices


def train_and_evaluate(
    config: ConfigDict, workdir: str | os.PathLike, *, force: Sequence[str] = ()
) -> TrainState:
    """Trains what a config describes, going on where the workdir's last checkpoint ends.

    Leaves in the workdir: checkpoints/ (the last two and the best), best.json, metrics.jsonl,
    tensorboard/, examples/STEP/ID.png, config.json and environment.jsonl. The input normalisation
    is that of the weights that the run starts from, where they say it. On SIGTERM, SIGINT or
    SIGHUP it ends the step or breaks the evaluation off, saves and returns. A loss or gradient
    that is not finite raises FloatingPointError and is never saved, or skips the step, as
    config.train.on_nonfinite says.

    Args:
      config: see configs/base.py.
      workdir: one that another config or other data made, or another process holds, is refused.
      force: fields of the config that may differ from those that made the workdir, such as
        "optim.learning_rate"; "data" for other content of the data set.

    Returns:
      The state after the last step done; its `step` is below config.train.steps if a signal came.
    """
    config = validate(config)
    for note in notes(config):
        say(f"note: {note}")
    config = initial_config(config, workdir)
    return fit(build_experiment(config), config, workdir, force=force)


def fit(
    experiment: Experiment,
    config: ConfigDict,
    workdir: str | os.PathLike,
    *,
    force: Sequence[str] = (),
) -> TrainState:
    """As train_and_evaluate, of an experiment that is built already from a valid config."""
    workdir = pathlib.Path(workdir)
    with contextlib.ExitStack() as stack:
        stack.callback(experiment.train_batches.close)
        stop = stack.enter_context(StopRequest())
        stack.enter_context(claim(workdir, config, data=experiment.data, force=force))
        return _Loop(experiment, config, workdir, stop, stack).run()


class _Loop:
    """One start of a run: everything that it opens is closed by `stack`."""

    def __init__(
        self,
        experiment: Experiment,
        config: ConfigDict,
        workdir: pathlib.Path,
        stop: StopRequest,
        stack: contextlib.ExitStack,
    ):
        self._config, self._stop = config.train, stop
        self._at_start, self._metric = config.eval.at_start, config.eval.best_metric
        self._learning_rate, self._epochs = build_schedule(config.optim), experiment.epochs
        optimizer = build_optimizer(config.optim)
        left_out = experiment.records_left_out
        self._left_out: dict[str, float | int] = {LEFT_OUT: left_out} if left_out else {}
        self._checkpoints = Checkpoints(workdir, best_metric=self._metric)
        stack.callback(self._checkpoints.close)
        mesh = make_mesh()
        self._meter = Meter(config.train.batch_size, max_skipped=config.train.max_skipped_steps)
        self._position = RunPosition(experiment.train_batches, self._meter)
        self._state = initial_state(
            experiment.init,
            optimizer,
            mesh,
            self._checkpoints,
            self._position,
            seed=config.seed,
            ema=config.train.ema > 0,
            init_from=config.init_from,
        )
        self._first = int(self._state.step)
        for change in record_environment(workdir, self._first, data=experiment.data):
            say(f"{change}: from here on numbers may differ in their last digits")
        self._log = MetricsLog(workdir, start_step=self._first) if is_primary() else NoLog()
        stack.callback(self._log.close)
        self._evaluation = PeriodicEvaluation(experiment, config.eval, workdir, mesh, self._log)
        self._trace = Trace(tuple(config.train.profile_steps), workdir)
        stack.callback(self._trace.close)
        self._feed = BatchFeed(experiment.train_batches, mesh)
        self._step = make_train_step(
            experiment.objective,
            optimizer,
            mesh,
            accumulate=config.train.accumulate,
            skip_nonfinite=config.train.on_nonfinite == "skip",
            ema=config.train.ema,
        )
        self._in_flight: collections.deque[tuple] = collections.deque()  # (total, asked to stop)
        self._agreed_to_stop = False

    def run(self) -> TrainState:
        first, steps = self._first, self._config.steps
        for done in range(first, steps + 1):
            stopping = self._stop.requested if is_alone() else self._agreed_to_stop
            if done > first and (stopping or self._save_due(done)):
                self._save(done)
            if not stopping and self._evaluation_due(done):
                stopping = not self._evaluate(done)
            if stopping or done == steps:
                break
            self._trace.before(done + 1)
            self._train(done)
            self._trace.after(done + 1, self._state.step)
            if done == first:
                self._report_compiling()
            if _due(done + 1, self._config.log_every) or done + 1 == steps:
                self._write_line(done + 1)
        totals = self._meter.totals | self._left_out
        done = int(self._state.step)
        say(closing_lines(done, steps, self._checkpoints, totals, self._metric))
        return self._state

    def _save_due(self, done: int) -> bool:
        """Every state that may be evaluated is saved, or it could not be kept as the best."""
        config = self._config
        regular = _due(done, config.checkpoint_every) or _due(done, config.eval_every)
        return regular or done == config.steps

    def _evaluation_due(self, done: int) -> bool:
        config = self._config
        wanted = _due(done, config.eval_every) or done == config.steps
        wanted = self._at_start if done == 0 else wanted
        return wanted and not as_primary_says(self._log.has(done, "eval/"))

    def _save(self, done: int) -> None:
        self._check()
        if not all_finite(self._state.params):
            raise FloatingPointError(self._advise(f"a parameter is not finite after step {done}"))
        self._checkpoints.save(done, self._state, self._position)
        self._meter.restart_clock()

    def _evaluate(self, done: int) -> bool:
        """Returns whether the evaluation got to its end."""
        metrics = self._evaluation(done, self._state, self._stop)
        self._meter.restart_clock()
        if metrics is None:
            return False
        if done > 0 and is_primary():
            self._checkpoints.note_score(done, metrics.get(self._metric))
        self._log.write(done, {f"eval/{name}": value for name, value in metrics.items()})
        return True

    def _train(self, done: int) -> None:
        fed = self._feed.next(self._stop.requested)
        self._state, scalars = self._step(self._state, fed.batch)
        self._meter.add(done + 1, {**scalars, **fed.counts}, waited=fed.waited)
        self._in_flight.append((scalars["loss/total"], fed.stop))
        if len(self._in_flight) > _IN_FLIGHT:
            total, asked = self._in_flight.popleft()
            total.block_until_ready()
            self._agreed_to_stop |= asked > 0

    def _report_compiling(self) -> None:
        """Waits for the first step, so that compiling does not count as speed."""
        self._state.step.block_until_ready()
        say(f"first step, with compiling: {duration(self._meter.seconds)}")
        self._meter.restart_clock()

    def _write_line(self, done: int) -> None:
        self._check()
        learning_rate = float(self._learning_rate(done - 1))
        values = {**self._meter.summary(), "learning_rate": learning_rate}
        if "images_per_second" in values:
            images_left = (self._config.steps - done) * self._config.batch_size
            values["seconds_left"] = images_left / values["images_per_second"]
        came = self._epochs(done * self._config.batch_size)
        values |= {f"data/epoch/{name}": epoch for name, epoch in came.items()}
        self._log.write(done, values | self._left_out)
        say(training_line(done, self._config.steps, values))

    def _check(self) -> None:
        try:
            self._meter.check()
        except FloatingPointError as error:
            raise FloatingPointError(self._advise(str(error))) from None

    def _advise(self, problem: str) -> str:
        last = self._checkpoints.last_step
        kept = f"step {last} in {self._checkpoints.folder(last)}" if last else "none yet"
        return (
            f"{problem}. The last good checkpoint stays: {kept}. Try a lower "
            "optim.learning_rate or optim.clip_norm, or look at the data of these steps"
        )


def _due(step: int, every: int) -> bool:
    return step > 0 and every > 0 and step % every == 0
