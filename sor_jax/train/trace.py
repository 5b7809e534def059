"""A profiler trace of a few steps."""

import pathlib

import jax

FOLDER = "profile"


class Trace:
    """Records what host and devices do from the first to the last of some steps.

    Args:
      steps: (first, last), counted from 1 as the log does; () for no trace.
      workdir: takes profile/, which TensorBoard's profile plugin and xprof show.
    """

    def __init__(self, steps: tuple[int, ...], workdir: pathlib.Path):
        if steps and (len(steps) != 2 or not 1 <= steps[0] <= steps[1]):
            raise ValueError(
                f"config.train.profile_steps is {tuple(steps)}: it must be (first, last), counted "
                "from 1, or () for no trace"
            )
        self._first, self._last = steps or (0, -1)
        self._folder, self._running = workdir / FOLDER, False

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
            print(f"profiler trace: {self._folder}", flush=True)
