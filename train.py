"""Trains and evaluates a model.

    python train.py --config configs/demo.py --workdir runs/demo [--config.FIELD=VALUE ...]

Running the same command again goes on where it stopped. docs/scaling.md: several devices and hosts.
"""

import os

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform
from sor_jax.distributed import cluster

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, a file of configs/.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of checkpoints, numbers and pictures.")
_JOIN = cluster.flags_to_join()
_FORCE = flags.DEFINE_bool("force", False, "Go on in a workdir that another config made.")
flags.mark_flags_as_required(["config", "workdir"])


def main(argv):
    """Hands the flags to the training loop."""
    if len(argv) > 1:
        raise app.UsageError(f"not a flag: {' '.join(argv[1:])}; all settings are --NAME=VALUE")
    platform.configure()
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # or orbax tells of every file that it writes

    import jax

    from sor_jax.distributed.hosts import say
    from sor_jax.train.loop import train_and_evaluate

    _JOIN()
    kinds = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    say(
        f"devices: {jax.device_count()} x {jax.default_backend()} ({kinds}) of "
        f"{jax.process_count()} processes, {os.cpu_count()} CPU cores, jax {jax.__version__}"
    )
    with cluster.ends_with_error():
        train_and_evaluate(_CONFIG.value, _WORKDIR.value, force=_FORCE.value)


if __name__ == "__main__":
    app.run(main)
