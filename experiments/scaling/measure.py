"""One measurement: a few training steps on some devices, in a process of its own.

    python -m experiments.scaling.measure --config FILE --devices 2 --batch 4

The last line that it prints is the result as JSON. Its own process, because a device tells the
peak of its memory since the process began, and because running out of memory must not end the
measurements that follow.
"""

import json
import time

from absl import app, flags, logging
from ml_collections import config_flags

from experiments.scaling.memory import peak_memory
from experiments.scaling.peaks import peak_flops
from sor_jax import platform

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, a file of configs/.")
_DEVICES = flags.DEFINE_integer("devices", 1, "How many devices.")
_BATCH = flags.DEFINE_integer("batch", 1, "Images of a batch over all devices.")
_WARMUP = flags.DEFINE_integer("warmup", 2, "Steps before the clock starts.")
_STEPS = flags.DEFINE_integer("steps", 10, "Steps that are measured.")


def measure(config, *, num_devices: int, batch_size: int, warmup: int, steps: int) -> dict:
    """Trains for a few steps as the loop does.

    Args:
      config: the experiment; its train.batch_size is replaced.
      num_devices: the first so many devices of this process.
      batch_size: over all of them.
      warmup, steps: how many steps come before the clock starts, and while it runs.

    Returns:
      devices, batch, dtype, platform, device; images_per_second, step_seconds and, of it,
      wait_seconds for input; compile_seconds; peak_bytes of one device and peak_told_by "device" or
      "compiler"; flops of a step on one device as of count_flops, and share of the device's peak,
      or None.
    """
    import jax

    from experiments.scaling.flops import count_flops, head_share
    from sor_jax.distributed.sharding import make_mesh, put

    if num_devices > jax.device_count():
        raise ValueError(f"{num_devices} devices are asked for; there are {jax.device_count()}")
    config = config.copy_and_resolve_references()
    config.train.batch_size = batch_size
    mesh = make_mesh(jax.devices()[:num_devices])
    state, step, batches = _prepare(config, mesh)
    start = time.perf_counter()
    traced = step.trace(state, put(next(batches), mesh))
    step = traced.lower().compile()
    compile_seconds = time.perf_counter() - start
    try:
        state, *_ = _run(step, state, batches, mesh, warmup)
        state, seconds, wait, foreground = _run(step, state, batches, mesh, steps)
    finally:
        batches.close()
    device, dtype = jax.devices()[0], config.train.dtype
    peak_bytes, told_by = peak_memory(device, step)
    heads = head_share(foreground / batch_size, config.model.roi_slots)
    flops = count_flops(traced.jaxpr, conditional=heads) / num_devices
    peak = peak_flops(device.device_kind, dtype)
    return {
        "devices": num_devices,
        "batch": batch_size,
        "dtype": dtype,
        "platform": device.platform,
        "device": device.device_kind,
        "images_per_second": batch_size * steps / seconds,
        "step_seconds": seconds / steps,
        "wait_seconds": wait / steps,
        "compile_seconds": compile_seconds,
        "peak_bytes": peak_bytes,
        "peak_told_by": told_by,
        "flops": flops,
        "share": flops * steps / seconds / peak if peak else None,
    }


def _prepare(config, mesh):
    """The state, the step and the batches that the loop would begin with."""
    import jax

    from sor_jax.distributed.sharding import replicated
    from sor_jax.train.experiment import build_experiment
    from sor_jax.train.optimizer import build_optimizer
    from sor_jax.train.state import create_state
    from sor_jax.train.step import make_train_step

    experiment = build_experiment(config, num_devices=mesh.size)
    optimizer = build_optimizer(config)
    state = jax.jit(
        lambda key: create_state(experiment.init(key), optimizer, key),
        out_shardings=replicated(mesh),
    )(jax.random.key(config.seed))
    step = make_train_step(
        experiment.objective, optimizer, mesh, accumulate=config.train.accumulate
    )
    return state, step, experiment.train_batches


def _run(step, state, batches, mesh, count):
    """Steps as the loop takes them, two in flight.

    Returns:
      (state, seconds, seconds waiting for input, foreground regions a step on average).
    """
    import jax
    import numpy as np

    from sor_jax.distributed.sharding import put

    jax.block_until_ready(state)
    start, wait, regions = time.perf_counter(), 0.0, []
    for _ in range(count):
        asked = time.perf_counter()
        batch = next(batches)
        wait += time.perf_counter() - asked
        state, scalars = step(state, put(batch, mesh))
        regions.append(scalars["rois/foreground"])
        if len(regions) > 2:
            regions[-3].block_until_ready()
    jax.block_until_ready(state)
    seconds = time.perf_counter() - start
    return state, seconds, wait, float(np.mean(jax.device_get(regions))) if count else 0.0


def main(_):
    """Measures and prints."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)
    result = measure(
        _CONFIG.value,
        num_devices=_DEVICES.value,
        batch_size=_BATCH.value,
        warmup=_WARMUP.value,
        steps=_STEPS.value,
    )
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
