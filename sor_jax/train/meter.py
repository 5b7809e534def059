"""What happened since the last line: means of the steps' scalars, and how fast they came."""

import math
import time

import jax
import numpy as np


class Meter:
    """Gathers scalars, which stay on the device until they are asked for.

    Args:
      batch_size: images a step.
    """

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self._on_device = []  # (step, scalars)
        self._fetched = []  # (step, scalars)
        self.restart_clock()

    def add(self, step: int, scalars: dict[str, jax.Array | float]) -> None:
        """Takes the scalars of the step that made `step` steps done."""
        self._on_device.append((step, scalars))
        self._timed_steps += 1

    def check(self) -> None:
        """Waits for all steps and raises FloatingPointError where a scalar is not finite."""
        arrived = jax.device_get(self._on_device)
        self._on_device = []
        for step, scalars in arrived:
            bad = {name: value for name, value in scalars.items() if not math.isfinite(value)}
            if bad:
                named = ", ".join(f"{name} = {float(value)}" for name, value in bad.items())
                raise FloatingPointError(f"step {step} is not finite: {named}")
        self._fetched += arrived

    def summary(self) -> dict[str, float]:
        """Means since the last summary, with "images_per_second"; checks them first.

        The speed counts the steps since the clock was last restarted; without any it is left out.
        """
        self.check()
        seconds = self.seconds
        names = self._fetched[-1][1]
        values = {
            name: float(np.mean([float(scalars[name]) for _, scalars in self._fetched]))
            for name in names
        }
        if self._timed_steps:
            values["images_per_second"] = self._timed_steps * self._batch_size / seconds
        self._fetched = []
        self.restart_clock()
        return values

    @property
    def seconds(self) -> float:
        """Since the clock was last restarted."""
        return time.perf_counter() - self._since

    def restart_clock(self) -> None:
        """Forgets the time so far, and the steps in it: after compiling, saving, evaluating."""
        self._since, self._timed_steps = time.perf_counter(), 0
