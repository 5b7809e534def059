"""The trainings that the rows of a table take: commands that go on where they stopped."""

import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from absl import flags as absl_flags
from ml_collections import config_flags

from experiments.tables.rows import Row
from sor_jax.files import write_json

FIRST_STAGE = {"two_stage": "detection"}
_BATCH, _STEPS = 2, 3  # of an estimate


@dataclasses.dataclass(frozen=True)
class Job:
    """One training and its evaluation.

    Attributes:
      name: of the row's config, and of the folder.
      config: as --config takes it.
      workdir: of the training.
      flags: those that train.py and eval.py both take.
      first: the job whose result the training starts from, if any.
    """

    name: str
    config: str
    workdir: pathlib.Path
    flags: tuple[str, ...]
    first: "Job | None" = None

    @property
    def metrics_file(self) -> pathlib.Path:
        """Where the evaluation leaves its numbers."""
        return self.workdir / "evaluation" / "test" / "metrics.json"

    def commands(self) -> list[list[str]]:
        """Train, then evaluate."""
        common = [f"--config={self.config}", f"--workdir={self.workdir}", *self.flags]
        start = [f"--config.init_from={self.first.workdir}"] if self.first else []
        return [
            [sys.executable, "train.py", *common, *start],
            [sys.executable, "eval.py", *common],
        ]

    def text(self) -> str:
        """The commands as a user types them."""
        return "\n".join(" ".join(["python", *words[1:]]) for words in self.commands())

    def metrics(self) -> dict | None:
        """The numbers of a job that is done, None of another.

        Raises ValueError where the numbers there were made with other flags.
        """
        if not self.metrics_file.is_file():
            return None
        made_by = json.loads((self.workdir / "job.json").read_text())
        if made_by != self._identity():
            raise ValueError(
                f"{self.workdir} was made by {made_by}, now asked for is {self._identity()}: take "
                "another --workdir, or remove that folder"
            )
        return json.loads(self.metrics_file.read_text())

    def run(self) -> dict:
        """Does what is left to do, and returns the numbers."""
        if (metrics := self.metrics()) is not None:
            return metrics
        write_json(self.workdir / "job.json", self._identity(), indent=None)
        for command in self.commands():
            ended = subprocess.run(command)
            if ended.returncode:
                raise RuntimeError(
                    f"exit status {ended.returncode} of {' '.join(command)}\nWhat is done stays; "
                    "the same command goes on from there"
                )
        if not self.metrics_file.is_file():  # a signal ended the training before its last step
            raise RuntimeError(f"{self.workdir} has no {self.metrics_file.name}: interrupted")
        return self.metrics()

    def _identity(self):
        return {"config": self.config, "flags": list(self.flags)}


def job_of(
    row: Row, seed: int, *, scale: str, data: str, folder: pathlib.Path, flags: Sequence[str] = ()
) -> Job:
    """The job of one row and seed.

    Args:
      row: one that is trained.
      seed: its config.seed.
      scale, data: "full" or "lite", "assr" or "scenes".
      folder: holds ROW/seedN.
      flags: --config.FIELD=VALUE for all jobs.
    """
    where = f"{scale},{data}"
    if not row.config.endswith(".py"):
        config = f"configs/tables.py:{row.config},{where}"
    elif where == "full,assr":
        config = f"configs/{row.config}"
    else:
        raise ValueError(
            f"{row.name} is another detector of full size: it takes --scale full --data assr"
        )
    first = None
    if row.config in FIRST_STAGE:
        stage = dataclasses.replace(row, config=FIRST_STAGE[row.config])
        first = job_of(stage, seed, scale=scale, data=data, folder=folder, flags=flags)
    name = row.config.removesuffix(".py")
    return Job(
        name=name,
        config=config,
        workdir=folder / name / f"seed{seed}",
        flags=(f"--config.seed={seed}", *flags),
        first=first,
    )


def with_first_stages(job: Job) -> list[Job]:
    """The job, behind the one whose result it starts from."""
    return [*with_first_stages(job.first), job] if job.first else [job]


def load_config(job: Job):
    """The job's config as train.py would see it."""
    words = ["tables", f"--config={job.config}", *job.flags]
    values = absl_flags.FlagValues()
    config = config_flags.DEFINE_config_file("config", flag_values=values, sys_argv=words)
    values(words)
    return config.value


def seconds_an_image(job: Job) -> tuple[float, str]:
    """Training on one device: (seconds an image, the device's name).

    A few steps of a few made-up images: an upper bound where a device is not filled by them.
    """
    command = [sys.executable, "-m", "experiments.scaling.point", f"--config={job.config}"]
    command += [
        *job.flags,
        "--data=made_up",
        f"--batch={_BATCH}",
        "--warmup=1",
        f"--steps={_STEPS}",
    ]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{ended.stderr[-2000:]}")
    result = json.loads(ended.stdout.splitlines()[-1])
    return result["step_seconds"] / _BATCH, result["device"]
