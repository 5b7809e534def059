"""What happened since the last line: means of the steps' scalars, and how fast they came."""

import math
import time

import jax
import numpy as np

from sor_jax.checkpoints.checkpoint import DataPosition
from sor_jax.commands import tell

SKIPPED = "train/skipped_steps"
EXAMPLES = "data/examples_seen"
RECORDS = "data/records_skipped"
# Counts of one step whose sum since the first step is what is told.
RUNNING = (SKIPPED, EXAMPLES, RECORDS)


class Meter:
    """Gathers scalars, which stay on the device until they are asked for.

    Args:
      batch_size: images a step.
      max_skipped: how many skipped steps a run may have; 0 where none is ever skipped.
    """

    def __init__(self, batch_size: int, *, max_skipped: int = 0):
        self._batch_size, self._max_skipped = batch_size, max_skipped
        self._on_device: list[tuple[int, dict[str, jax.Array | float]]] = []  # of each step
        self._fetched: list[tuple[int, dict[str, float]]] = []  # since the last summary
        self.totals: dict[str, float] = {}
        self.restart_clock()

    def add(self, step: int, scalars: dict[str, jax.Array | float], *, waited: float = 0.0) -> None:
        """Takes the scalars of the step that made `step` steps done, and the wait for its batch."""
        self._on_device.append((step, scalars))
        self._timed_steps += 1
        self._waited += waited

    def check(self) -> None:
        """Waits for all steps and raises FloatingPointError where a scalar is not finite.

        A step that says it was skipped only counts, until there are more than allowed.
        """
        arrived = jax.device_get(self._on_device)
        self._on_device = []
        for step, scalars in arrived:
            scalars = {name: float(value) for name, value in scalars.items()}
            bad = {name: value for name, value in scalars.items() if not math.isfinite(value)}
            named = ", ".join(f"{name} = {value}" for name, value in bad.items())
            if bad and not scalars.get(SKIPPED):
                raise FloatingPointError(f"step {step} is not finite: {named}")
            for name in RUNNING:
                if name in scalars:
                    self.totals[name] = self.totals.get(name, 0) + int(scalars.pop(name))
            if not bad:
                self._fetched.append((step, scalars))
                continue
            tell(f"step {step} skipped, not finite: {named}")
            if self.totals[SKIPPED] > self._max_skipped:
                raise FloatingPointError(
                    f"step {step} is not finite: {named}; {self.totals[SKIPPED]} steps were "
                    f"skipped, more than config.train.max_skipped_steps = {self._max_skipped}"
                )

    def summary(self) -> dict[str, float | int]:
        """Means since the last summary, with "images_per_second"; checks them first.

        The speed, and "input_wait", the share of the time in which no batch was there, count the
        steps since the clock was last restarted; without any they are left out. Running totals
        come as they are. If every step was skipped there are no means.
        """
        self.check()
        seconds = self.seconds
        names = self._fetched[-1][1] if self._fetched else ()
        values = {
            name: float(np.mean([scalars[name] for _, scalars in self._fetched if name in scalars]))
            for name in names
        }
        values |= self.totals
        if self._timed_steps:
            values["images_per_second"] = self._timed_steps * self._batch_size / seconds
            values["input_wait"] = self._waited / seconds
        self._fetched = []
        self.restart_clock()
        return values

    def get_state(self) -> dict:
        """What a run that goes on needs to tell the same; for JSON. Call `check` before."""
        return {"totals": self.totals, "unlogged": self._fetched}

    def set_state(self, state: dict) -> None:
        """Takes what `get_state` gave."""
        self.totals = dict(state["totals"])
        self._fetched = [(step, scalars) for step, scalars in state["unlogged"]]

    @property
    def seconds(self) -> float:
        """Since the clock was last restarted."""
        return time.perf_counter() - self._since

    def restart_clock(self) -> None:
        """Forgets the time so far, and the steps in it: after compiling, saving, evaluating."""
        self._since, self._timed_steps, self._waited = time.perf_counter(), 0, 0.0


class RunPosition:
    """Where a run is, beside its state: the data's position, and what the meter has not told."""

    def __init__(self, batches: DataPosition, meter: Meter):
        self._batches, self._meter = batches, meter

    def get_state(self) -> dict:
        """For JSON."""
        return {"batches": self._batches.get_state(), "meter": self._meter.get_state()}

    def set_state(self, state: dict) -> None:
        """Takes what `get_state` gave."""
        self._batches.set_state(state["batches"])
        self._meter.set_state(state["meter"])
