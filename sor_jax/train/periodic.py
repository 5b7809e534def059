"""What a run does beside its steps: an evaluation now and then, a profiler trace of a few steps."""

import pathlib
from collections.abc import Iterable

import jax

from sor_jax.commands import tell
from sor_jax.distributed.hosts import from_all, is_alone, is_primary, local_copy, say, taking_turns
from sor_jax.distributed.sharding import make_mesh, make_predict
from sor_jax.evaluation.gallery import output_path
from sor_jax.evaluation.loop import evaluate
from sor_jax.files import write_png
from sor_jax.metrics.scoreboard import Scored, table
from sor_jax.train.experiment import Experiment
from sor_jax.train.log import MetricsLog, NoLog
from sor_jax.train.run import StopRequest
from sor_jax.train.state import TrainState

EXAMPLES = 8
PROFILE = "profile"


class PeriodicEvaluation:
    """Scores states on config.eval.split and draws the first photographs.

    Args:
      experiment: its `predict` is compiled once, at the first call.
      config: config.eval.
      workdir: takes examples/STEP/ID.png.
      mesh: where the states are.
      log: takes the numbers as "eval/KEY", and the pictures.
    """

    def __init__(self, experiment: Experiment, config, workdir, mesh, log: MetricsLog | NoLog):
        self._batches, self._split = experiment.eval_batches, config.split
        self._targets = experiment.targets
        # Each process predicts its share of the photographs on its own devices.
        self._mesh = mesh if is_alone() else make_mesh(jax.local_devices())
        self._predict = make_predict(experiment.predict, self._mesh)
        self._batch_size = -(-config.batch_size // self._mesh.size) * self._mesh.size
        self._examples, self._log = pathlib.Path(workdir) / "examples", log

    def __call__(self, step: int, state: TrainState, stop: StopRequest) -> dict | None:
        """The metrics, written to the log and printed; None if `stop` cut the evaluation short."""

        def show(image_id, picture):
            write_png(output_path(self._examples / f"{step:07d}", image_id), picture)
            self._log.image(step, f"examples/{image_id}", picture)

        variables = local_copy(state.variables, self._mesh)
        try:
            metrics = evaluate(
                lambda batch: self._predict(variables, batch),
                _until(stop, self._batches(self._batch_size)),
                gallery=EXAMPLES if is_primary() else 0,
                show=show,
                pool=lambda images: _pool(images, stop),
                targets=self._targets,
            )
        except _StoppedError:
            return None
        say(f"evaluation on {self._split} after step {step}\n{table(metrics)}")
        return metrics


class _StoppedError(Exception):
    """A signal came during an evaluation."""


def _until(stop: StopRequest, batches: Iterable) -> Iterable:
    for batch in batches:
        if stop.requested:
            return
        yield batch


def _pool(images: list[Scored], stop: StopRequest) -> list[Scored]:
    if any(from_all(stop.requested)):
        raise _StoppedError
    return taking_turns(images)


class Trace:
    """Records what host and devices do from the first to the last of some steps.

    Args:
      steps: (first, last), counted from 1 as the log does; () for no trace.
      workdir: takes profile/, which TensorBoard's profile plugin and xprof show.
    """

    def __init__(self, steps: tuple[int, ...], workdir: pathlib.Path):
        self._first, self._last = steps or (0, -1)
        self._folder, self._running = workdir / PROFILE, False

    def before(self, step: int) -> None:
        """Begins if `step`, about to be done, is among the steps."""
        if not self._running and self._first <= step <= self._last:
            jax.profiler.start_trace(self._folder)
            self._running = True

    def after(self, step: int, scalars) -> None:
        """Ends, once the device has done them, behind the last of the steps."""
        if self._running and step >= self._last:
            jax.block_until_ready(scalars)
            self.close()

    def close(self) -> None:
        """Ends a trace that has begun."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
            tell(f"profiler trace: {self._folder}")
