"""The step timer: times, memory and operations of a config's training step and prediction.

`python -m experiments.scaling` is its command. Times of a detector say little without the number of
regions, so a result has it: an untrained detector proposes next to nothing that hits an object, and
`foreground` gives the heads as many regions as a trained one would. A made-up batch takes neither a
data set nor the packages that read one.
"""

import collections
import resource
import statistics
import sys
import time

import jax

from experiments.flops import count_flops, head_chunks, peak_flops
from experiments.made_up import made_up_batch
from experiments.regions import eager, with_regions
from sor_jax.build import build_model, build_objective, build_predict, init_variables
from sor_jax.distributed.sharding import make_mesh, put, replicated
from sor_jax.structures import Images
from sor_jax.train.optimizer import PartialObjective, build_optimizer
from sor_jax.train.state import create_state
from sor_jax.train.step import make_train_step

DATA = ("made_up", "first", "all")
"""Inputs: a made-up batch, the first batch of the config's data set, both of which stay on the
devices, or batch after batch as the loader reads them."""
_IN_FLIGHT = 2  # steps that the host runs ahead while it reads, as in training


class Timer:
    """An untrained model of a config on some devices, with the batches that it is timed on.

    Args:
      config: an experiment; its batch size and learning rate are replaced.
      batch_size: images over all devices.
      num_devices: the first so many devices of this process.
      data: one of DATA.
      foreground: regions an image that hit an object, at least; 0: those that are proposed. Takes
        a batch that stays.
    """

    def __init__(self, config, *, batch_size, num_devices=1, data="made_up", foreground=0):
        if num_devices > jax.device_count():
            raise ValueError(f"{num_devices} devices asked for; there are {jax.device_count()}")
        if foreground and data == "all":
            raise ValueError("foreground regions need a batch that stays: data made_up or first")
        config = config.copy_and_resolve_references()
        config.train.batch_size = batch_size
        config.optim.learning_rate = 1e-7  # so that many steps on one batch change nothing
        self.config, self.mesh = config, make_mesh(jax.devices()[:num_devices])
        self.batches = _batches(config, num_devices, data)
        self.reads = data == "all"
        self.batch = put(next(self.batches), self.mesh)
        if not self.reads:
            self.batches.close()
        self.model = build_model(config)
        self._foreground = foreground
        optimizer = self._optimizer = build_optimizer(config.optim)
        create = jax.jit(
            lambda key: create_state(init_variables(self.model, key), optimizer, key),
            out_shardings=replicated(self.mesh),
        )
        self.state = create(jax.random.key(config.seed))

    def compiled_step(self):
        """(the step compiled, its jaxpr, seconds of compiling); a step donates the state."""
        objective = build_objective(self.config, self.model)
        if self._foreground:
            objective = with_regions(objective, self.batch.gt.boxes, self._foreground)
        if trainable := tuple(self.config.optim.trainable):
            objective = PartialObjective(objective, trainable)
        step = make_train_step(
            objective, self._optimizer, self.mesh, accumulate=self.config.train.accumulate
        )
        return _compiled(step, self.state, self.batch)

    def train(self, steps: int, warmup: int = 2) -> dict:
        """Times training steps as the loop takes them.

        Returns:
          devices, batch, dtype, platform, device, input;
          step_seconds (median; the mean where batches are read), step_seconds_least and _most;
          wait_seconds of it for input; images_per_second; compile_seconds;
          peak_bytes and peak_told_by as of peak_memory, host_bytes of this process;
          flops of a step on one device as of count_flops, share of the device's peak or None;
          objects, foreground: ground truth and regions that the heads saw, an image;
          loss: of the last step.
        """
        step, jaxpr, compile_seconds = self.compiled_step()
        self._run(step, warmup)
        ends, waits, scalars = self._run(step, steps)
        self.batches.close()
        seconds = _spread("step_seconds", ends, is_mean=self.reads)
        device, dtype = self.mesh.devices.flat[0], self.config.train.dtype
        size, count = len(self.batch.valid), self.mesh.size
        scalars = jax.device_get(scalars)
        foreground = statistics.fmean(float(s["rois/foreground"]) for s in scalars) / size
        heads = head_chunks(foreground, self.config.model.roi_slots)
        flops = count_flops(jaxpr, loops=heads) / count
        peak = peak_flops(device.device_kind, dtype)
        peak_bytes, told_by = peak_memory(device, step)
        return {
            "devices": count,
            "batch": size,
            "dtype": dtype,
            "platform": device.platform,
            "device": device.device_kind,
            **seconds,
            "wait_seconds": statistics.fmean(waits),
            "images_per_second": size / seconds["step_seconds"],
            "compile_seconds": compile_seconds,
            "peak_bytes": peak_bytes,
            "peak_told_by": told_by,
            "host_bytes": host_bytes(),
            "flops": flops,
            "share": flops / seconds["step_seconds"] / peak if peak else None,
            "objects": float(self.batch.gt.boxes.valid.sum()) / size,
            "foreground": foreground,
            "loss": float(scalars[-1]["loss/total"]),
        }

    def predict(self, steps: int, warmup: int = 2) -> dict:
        """Times predictions of the first batch, with as many detections as there may be.

        Returns:
          predict_seconds (median), predict_seconds_least and _most; predict_images_per_second;
          predict_compile_seconds; detections and, of these, ranked, an image.
        """
        predict, arguments, compile_seconds = self.compiled_predict()
        ends = [time.perf_counter()]
        for _ in range(warmup + steps):
            found = jax.block_until_ready(predict(*arguments))
            ends.append(time.perf_counter())
        seconds, size = _spread("predict_seconds", ends[warmup:]), len(self.batch.valid)
        return seconds | {
            "predict_images_per_second": size / seconds["predict_seconds"],
            "predict_compile_seconds": compile_seconds,
            "detections": float(found.boxes.valid.sum()) / size,
            "ranked": float((found.rank_class >= 0).sum()) / size,
        }

    def compiled_predict(self):
        """(the compiled prediction, its arguments, seconds of compiling)."""
        variables = self.state.variables
        variables = variables | {"params": eager(variables["params"])}
        images = Images(self.batch.image, self.batch.valid_hw, self.batch.valid)
        predict = jax.jit(build_predict(self.config, self.model))
        compiled, _, seconds = _compiled(predict, variables, images)
        return compiled, (variables, images), seconds

    def _run(self, step, count):
        """(clock before and after each of the steps, seconds of waiting, scalars of each)."""
        jax.block_until_ready(self.state)
        ends, waits, scalars, in_flight = [time.perf_counter()], [], [], collections.deque()
        for _ in range(count):
            start = time.perf_counter()
            batch = put(next(self.batches), self.mesh) if self.reads else self.batch
            waits.append(time.perf_counter() - start)
            self.state, told = step(self.state, batch)
            scalars.append(told)
            in_flight.append(told)
            if len(in_flight) > (_IN_FLIGHT if self.reads else 0):
                jax.block_until_ready(in_flight.popleft())
                ends.append(time.perf_counter())
        for told in in_flight:
            jax.block_until_ready(told)
            ends.append(time.perf_counter())
        return ends, waits, scalars


def peak_memory(device, compiled) -> tuple[int, str]:
    """Bytes, and who says so.

    "device": the most in use on the device since its process began. "compiler", where the device
    keeps no such count: arguments, results and temporaries of the one function.
    """
    stats = device.memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"], "device"
    memory = compiled.memory_analysis()
    own = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return own + memory.temp_size_in_bytes, "compiler"


def host_bytes() -> int:
    """The most memory that this process had in use so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _batches(config, num_devices, data):
    """Numpy batches, and `close`."""
    if data != "made_up":
        from sor_jax.train.experiment import build_experiment

        return build_experiment(config, num_devices=num_devices).train_batches
    data, size = config.data, config.train.batch_size
    made_up = made_up_batch(size, tuple(data.canvas_hw), data.max_objects, data.max_edges)
    return (batch for batch in [made_up])


def _compiled(function, *arguments):
    start = time.perf_counter()
    traced = function.trace(*arguments)
    compiled = traced.lower().compile()
    return compiled, traced.jaxpr, time.perf_counter() - start


def _spread(name, ends, *, is_mean=False):
    seconds = [end - start for start, end in zip(ends, ends[1:], strict=False)]
    middle = statistics.fmean(seconds) if is_mean else statistics.median(seconds)
    return {name: middle, f"{name}_least": min(seconds), f"{name}_most": max(seconds)}
