"""Trains and evaluates a model.

    python train.py --config configs/demo.py [--workdir DIR] [--config.FIELD=VALUE ...]

The workdir is runs/NAME_OF_THE_CONFIG where none is given. Running the same command again goes on
where it stopped. docs/scaling.md: several devices and hosts.
"""

import os

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform
from sor_jax.distributed import cluster

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, a file of configs/.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of checkpoints, numbers and pictures [runs/NAME_OF_THE_CONFIG]."
)
_JOIN = cluster.flags_to_join()
_FORCE = flags.DEFINE_list(
    "force", [], "Fields that may differ from what made the workdir: optim.learning_rate,data,.."
)
flags.mark_flag_as_required("config")


def main(argv):
    """Hands the flags to the training loop."""
    del argv
    platform.configure()
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # or orbax tells of every file that it writes

    import jax

    from sor_jax.distributed.hosts import say
    from sor_jax.train.loop import train_and_evaluate

    _JOIN()
    kinds = ", ".join(sorted({device.device_kind for device in jax.devices()}))
    config = config_flags.get_config_filename(flags.FLAGS["config"])
    workdir = os.path.expanduser(_WORKDIR.value or commands.default_workdir(config))
    say(f"workdir: {os.path.abspath(workdir)}")
    say(
        f"devices: {jax.device_count()} x {jax.default_backend()} ({kinds}) of "
        f"{jax.process_count()} processes, {os.cpu_count()} CPU cores, jax {jax.__version__}"
    )
    with cluster.ends_with_error():
        train_and_evaluate(_CONFIG.value, workdir, force=_FORCE.value)


if __name__ == "__main__":
    commands.run(main)
