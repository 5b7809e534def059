"""Times, memory and operations of a training step and of a prediction, on one device."""

import statistics
import time

import jax
import optax

from experiments.scaling.flops import count_flops, head_share
from experiments.scaling.made_up import eager, made_up_batch, with_regions
from experiments.scaling.memory import peak_memory
from experiments.scaling.peaks import peak_flops
from sor_jax.build import build_model, build_objective, build_predict, init_variables
from sor_jax.distributed.sharding import make_mesh, put
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.state import create_state
from sor_jax.train.step import make_train_step


class Speed:
    """A config's model, untrained, with one made-up batch that stays on the first device.

    Args:
      config: as of training; its optimizer's rate is not taken.
      batch_size: images.
      steps: steps, and predictions, that are timed.
      foreground: proposals an image that hit an object.
    """

    def __init__(self, config, *, batch_size: int, steps: int, foreground: int):
        self._config, self._steps, self._size = config, steps, batch_size
        self._device = jax.devices()[0]
        self._mesh = make_mesh([self._device])
        data = config.data
        made_up = made_up_batch(batch_size, tuple(data.canvas_hw), data.max_objects, data.max_edges)
        self._batch = put(made_up, self._mesh)
        self._model = build_model(config)
        self._objective = with_regions(
            build_objective(config, self._model), self._batch.gt.boxes, foreground
        )
        self._optimizer = make_optimizer(config.optim.name, optax.constant_schedule(1e-7))
        self._state = jax.jit(self._create)(jax.random.key(0))

    def train(self) -> dict:
        """What a training step takes.

        Returns:
          batch, dtype; step_seconds (median), step_seconds_least and _most; images_per_second;
          compile_seconds; peak_bytes and peak_told_by as of peak_memory; flops of a step as of
          count_flops, and share of the device's peak, or None; of the last step loss and
          foreground, regions an image.
        """
        accumulate = self._config.train.accumulate
        step = make_train_step(self._objective, self._optimizer, self._mesh, accumulate=accumulate)
        jaxpr, step, compile_seconds = _compiled(step, self._state, self._batch)
        told = {}

        def once():
            self._state, told["scalars"] = step(self._state, self._batch)
            jax.block_until_ready((self._state, told))

        seconds = _timed("step_seconds", once, self._steps)
        peak_bytes, told_by = peak_memory(self._device, step)
        dtype = self._config.train.dtype
        foreground = float(told["scalars"]["rois/foreground"]) / self._size
        heads = head_share(foreground, self._config.model.roi_slots)
        flops = count_flops(jaxpr, conditional=heads)
        peak = peak_flops(self._device.device_kind, dtype)
        return {
            "batch": self._size,
            "dtype": dtype,
            **seconds,
            "images_per_second": self._size / seconds["step_seconds"],
            "compile_seconds": compile_seconds,
            "peak_bytes": peak_bytes,
            "peak_told_by": told_by,
            "flops": flops,
            "share": flops / seconds["step_seconds"] / peak if peak else None,
            "loss": float(told["scalars"]["loss/total"]),
            "foreground": foreground,
        }

    def predict(self) -> dict:
        """What a prediction of the batch takes.

        Returns:
          predict_seconds (median), predict_seconds_least and _most; predict_images_per_second;
          predict_compile_seconds; detections, and those with a rank, an image.
        """
        variables = self._state.variables
        variables = variables | {"params": eager(variables["params"])}
        predict = jax.jit(build_predict(self._config, self._model))
        _, predict, compile_seconds = _compiled(predict, variables, self._batch)
        told = {}

        def once():
            told["found"] = jax.block_until_ready(predict(variables, self._batch))

        seconds = _timed("predict_seconds", once, self._steps)
        found = told["found"]
        return seconds | {
            "predict_images_per_second": self._size / seconds["predict_seconds"],
            "predict_compile_seconds": compile_seconds,
            "detections": float(found.boxes.valid.sum()) / self._size,
            "ranked": float((found.rank_class >= 0).sum()) / self._size,
        }

    def _create(self, key):
        return create_state(init_variables(self._model, self._config, key), self._optimizer, key)


def _compiled(function, *args):
    """(its jaxpr, the compiled function, seconds of compiling)."""
    traced = function.trace(*args)
    lowered, start = traced.lower(), time.perf_counter()
    made = lowered.compile()
    return traced.jaxpr, made, time.perf_counter() - start


def _timed(name: str, function, repeats: int) -> dict[str, float]:
    """Calls a function that blocks; the first two calls warm up."""
    seconds = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    seconds = seconds[2:]
    median = statistics.median(seconds)
    return {name: median, f"{name}_least": min(seconds), f"{name}_most": max(seconds)}
