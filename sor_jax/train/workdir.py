"""A workdir belongs to one config and one process at a time."""

import contextlib
import fcntl
import json
import os
import pathlib
import socket
from collections.abc import Iterator

from ml_collections import ConfigDict

from sor_jax.checkpoints.saved import CONFIG, FOLDER, steps_in
from sor_jax.config import flatten, read_saved
from sor_jax.distributed.hosts import is_primary
from sor_jax.files import write_whole

LOCK = ".lock"
# What may change on the way: how long and how often, and what the machine needs; none of them
# changes a step.
FREE = {
    "data": ("cache_dir", "num_workers"),
    "train": (
        "steps",
        "log_every",
        "eval_every",
        "checkpoint_every",
        "profile_steps",
        "accumulate",
        "remat",
        "on_nonfinite",
        "max_skipped_steps",
    ),
    "eval": ("split", "at_start", "batch_size", "max_images", "best_metric"),
}


@contextlib.contextmanager
def claim(workdir: pathlib.Path, config: ConfigDict, *, force: bool = False) -> Iterator[None]:
    """Holds a workdir, made where it is missing; the system lets go of it with the process.

    Raises RuntimeError where another process holds it, and ValueError where its checkpoints come
    from another config, unless `force`. Writes config.json. Of several processes of a run the
    primary acts for all.
    """
    if not is_primary():
        yield
        return
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise RuntimeError(
                f"{workdir} is in use by {lock.read() or 'another process'}: wait for its end, or "
                "take another workdir"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        if not force and steps_in(workdir / FOLDER):
            check_same_config(workdir, config)
        write_whole(workdir / CONFIG, config.to_json_best_effort(indent=1) + "\n")
        yield


def check_same_config(workdir: pathlib.Path, config: ConfigDict) -> None:
    """Raises ValueError with the fields that differ from those that the workdir was made by."""
    path = workdir / CONFIG
    if not path.exists():
        return
    before = read_saved(path)
    now = flatten(json.loads(config.to_json_best_effort()))
    # A field that only one of them has came, or went, with another version of the program.
    fields = [name for name in before if name in now and before[name] != now[name]]
    differing = [name for name in fields if name not in _FREE]
    if differing:
        lines = [f"  config.{name} was {before[name]!r}, now {now[name]!r}" for name in differing]
        raise ValueError(
            f"{workdir} was made by another config:\n" + "\n".join(lines) + "\nTake a new workdir, "
            "or the config that made this one; --force goes on with what it has"
        )


_FREE = {f"{section}.{name}" for section, names in FREE.items() for name in names}
