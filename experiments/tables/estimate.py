"""How long a job will take, by a few steps of it."""

import json
import subprocess
import sys

from absl import flags
from ml_collections import config_flags

from experiments.tables.jobs import Job

BATCH, STEPS = 2, 3


def load_config(job: Job):
    """The job's config as train.py would see it."""
    words = ["reproduce", f"--config={job.config}", *job.flags]
    values = flags.FlagValues()
    config = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    values(words)
    return config.value


def seconds_an_image(job: Job) -> tuple[float, str]:
    """Training on one device: (seconds an image, the device's name).

    A few steps of a few made-up images: an upper bound where a device is not filled by them.
    """
    command = [sys.executable, "-m", "experiments.scaling.point", f"--config={job.config}"]
    command += [*job.flags, "--data=made_up", f"--batch={BATCH}", "--warmup=1", f"--steps={STEPS}"]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stderr[-2000:]}")
    result = json.loads(ended.stdout.splitlines()[-1])
    return result["step_seconds"] / BATCH, result["device"]
