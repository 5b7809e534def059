"""One measurement: a few training steps on some devices, in a process of its own.

    python -m sor_jax.scaling.measure --config FILE --devices 2 --batch 4

The last line that it prints is the result as JSON. Its own process, because a device tells the
peak of its memory since the process began, and because running out of memory must not end the
measurements that follow.
"""

import json
import time

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform
from sor_jax.scaling.peaks import peak_flops

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
      "compiler"; flops of a step on one device by XLA's count, and share of the device's peak, or
      None.
    """
    import jax

    from sor_jax.train.experiment import build_experiment, build_optimizer
    from sor_jax.train.sharding import make_mesh, put, replicated
    from sor_jax.train.state import create_state
    from sor_jax.train.step import make_train_step

    if num_devices > jax.device_count():
        raise ValueError(f"{num_devices} devices are asked for; there are {jax.device_count()}")
    config = config.copy_and_resolve_references()
    config.train.batch_size = batch_size
    mesh = make_mesh(jax.devices()[:num_devices])
    experiment = build_experiment(config, num_devices=num_devices)
    optimizer = build_optimizer(config)
    key = jax.random.key(config.seed)
    state = jax.jit(
        lambda key: create_state(experiment.init(key), optimizer, key),
        out_shardings=replicated(mesh),
    )(key)
    step = make_train_step(
        experiment.objective, optimizer, mesh, accumulate=config.train.accumulate
    )
    batches = experiment.train_batches
    start = time.perf_counter()
    lowered = step.lower(state, put(next(batches), mesh))
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - start
    try:
        state, _, _ = _run(compiled, state, batches, mesh, warmup)
        state, seconds, wait = _run(compiled, state, batches, mesh, steps)
    finally:
        batches.close()
    device = jax.devices()[0]
    peak_bytes, told_by = _peak_memory(device, compiled)
    flops = lowered.cost_analysis()["flops"] / num_devices
    peak = peak_flops(device.device_kind, config.train.dtype)
    return {
        "devices": num_devices,
        "batch": batch_size,
        "dtype": config.train.dtype,
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


def _run(step, state, batches, mesh, count):
    """Steps as the loop takes them, two in flight: (state, seconds, seconds waiting for input)."""
    import jax

    from sor_jax.train.sharding import put

    jax.block_until_ready(state)
    start, wait, in_flight = time.perf_counter(), 0.0, []
    for _ in range(count):
        asked = time.perf_counter()
        batch = next(batches)
        wait += time.perf_counter() - asked
        state, scalars = step(state, put(batch, mesh))
        in_flight.append(scalars["loss/total"])
        if len(in_flight) > 2:
            in_flight.pop(0).block_until_ready()
    jax.block_until_ready(state)
    return state, time.perf_counter() - start, wait


def _peak_memory(device, compiled) -> tuple[int, str]:
    stats = device.memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"], "device"
    memory = compiled.memory_analysis()
    parts = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return parts + memory.temp_size_in_bytes - memory.alias_size_in_bytes, "compiler"


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
