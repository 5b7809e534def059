"""Seconds and memory of a training step and of a prediction, on real photographs.

    python -m experiments.scaling.step_time --config configs/centermask_vov39.py --foreground 35 \
        --config.data.root=PATH_TO_ASSR --config.train.batch_size=2

Early in training few proposals are foreground. `--foreground N` gives the heads N regions an image,
jittered copies of the ground-truth boxes, as a trained detector does.
"""

import resource
import statistics
import time

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform

_CONFIG = config_flags.DEFINE_config_file("config", None, "The model and the data.")
_FOREGROUND = flags.DEFINE_integer("foreground", 0, "Regions an image; 0 for what is proposed.")
_STEPS = flags.DEFINE_integer("steps", 5, "Timed steps, after one that compiles.")
flags.mark_flags_as_required(["config"])


def timed(name, function, repeats):
    """Calls a function that blocks, once and then `repeats` times; prints the median."""
    start = time.perf_counter()
    function()
    first, seconds = time.perf_counter() - start, []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    print(
        f"{name}: median {statistics.median(seconds):.2f} s, {min(seconds):.2f} to "
        f"{max(seconds):.2f} s of {repeats}; the first, with compiling, {first:.0f} s",
        flush=True,
    )


def main(_):
    """Builds everything as training does and times it."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    import jax

    from experiments.scaling.made_up import with_regions
    from sor_jax.build import build_model, build_objective, build_predict, init_variables
    from sor_jax.distributed.sharding import make_mesh, put
    from sor_jax.train.experiment import build_experiment
    from sor_jax.train.optimizer import build_optimizer
    from sor_jax.train.state import count_params, create_state
    from sor_jax.train.step import make_train_step

    config = _CONFIG.value
    mesh = make_mesh()
    batch = put(next(build_experiment(config).train_batches), mesh)
    model = build_model(config)
    objective = build_objective(config, model)
    if _FOREGROUND.value:
        objective = with_regions(objective, batch.gt.boxes, _FOREGROUND.value)
    optimizer = build_optimizer(config)

    def create(key):
        return create_state(init_variables(model, config, key), optimizer, key)

    held = {"state": jax.jit(create)(jax.random.key(config.seed))}
    print(
        f"{jax.device_count()} x {jax.local_devices()[0].device_kind}, jax {jax.__version__}; "
        f"{count_params(held['state'].params):,} parameters, batch {tuple(batch.image.shape)}, "
        f"{config.train.dtype}, {config.model.roi_slots} slots",
        flush=True,
    )
    predict = jax.jit(build_predict(config, model))
    one = jax.tree.map(lambda x: x[:1], batch)
    timed(
        "prediction of one image",
        lambda: jax.block_until_ready(predict(held["state"].variables, one)),
        5,
    )

    step = make_train_step(objective, optimizer, mesh)

    def train():
        held["state"], held["scalars"] = step(held["state"], batch)
        jax.block_until_ready(held["state"].step)

    timed("training step", train, _STEPS.value)
    foreground = float(held["scalars"]["rois/foreground"]) / len(batch.valid)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{foreground:.1f} foreground regions an image; peak {memory:.1f} GiB of host memory")


if __name__ == "__main__":
    app.run(main)
