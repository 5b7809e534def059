"""What belongs to one run: its workdir, the signals that end it, the record of its starts."""

import contextlib
import difflib
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from sor_jax.checkpoints.saved import CONFIG, FOLDER, steps_in
from sor_jax.config import flatten, read_saved
from sor_jax.distributed.hosts import is_primary
from sor_jax.files import locked, read_records, write_whole

LOCK = ".lock"
DATA = "data"
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
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENVIRONMENT = "environment.jsonl"
PACKAGES = ["jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "Pillow"]
PACKAGES += ["pycocotools"]
VARIABLES = ["XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE"]
VARIABLES += ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
SETTINGS = ["jax_default_matmul_precision", "jax_enable_x64", "jax_threefry_partitionable"]
SETTINGS += ["jax_default_prng_impl"]


@contextlib.contextmanager
def claim(
    workdir: pathlib.Path, config: ConfigDict, *, data: str = "", force: Sequence[str] = ()
) -> Iterator[None]:
    """Holds a workdir, made where it is missing; the system lets go of it with the process.

    Writes config.json. Of several processes of a run the primary acts for all.

    Args:
      workdir: RuntimeError where another process holds it.
      config, data: ValueError where its checkpoints come from another config, or from a data set
        of another content (`data`, a fingerprint; "" where there is none to compare).
      force: names of fields that may differ all the same, "data" for the content.
    """
    if not is_primary():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(f"{workdir} is no folder: name another workdir") from None
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(locked(workdir / LOCK, wait=False))
        except BlockingIOError:
            holder = (workdir / LOCK).read_text() or "another process"
            raise RuntimeError(
                f"{workdir} is in use by {holder}: wait for its end, or take another workdir"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        text = config.to_json_best_effort(indent=1) + "\n"
        fields = flatten(json.loads(text))
        _check_force(fields, force)
        if steps_in(workdir / FOLDER):
            _check_same_run(workdir, fields, data, force)
        write_whole(workdir / CONFIG, text)
        yield


def _check_force(known: dict[str, Any], force: Sequence[str]) -> None:
    """Raises ValueError for a name in `force` that is neither a field nor "data"."""
    for name in force:
        if name != DATA and name not in known:
            near = difflib.get_close_matches(name, [*known, DATA], n=1)
            meant = f"; did you mean {near[0]}" if near else ""
            raise ValueError(
                f"--force={name} is no field of the config{meant}. Give the names of what may "
                f"differ, such as optim.learning_rate, or {DATA} for the data set's content"
            )


def _check_same_run(
    workdir: pathlib.Path, now: dict[str, Any], data: str, force: Sequence[str]
) -> None:
    """Raises ValueError with what differs from the config and the data that made the workdir."""
    path = workdir / CONFIG
    before = read_saved(path) if path.exists() else {}
    # A field that only one of them has came, or went, with another version of the program.
    differing = {
        name: f"config.{name} was {before[name]!r}, now {now[name]!r}"
        for name in before
        if name in now and before[name] != now[name] and name not in _FREE
    }
    data_before = next(
        (
            start["data"]
            for start in reversed(read_records(workdir / ENVIRONMENT))
            if "data" in start
        ),
        "",
    )
    if data and data_before:
        # The same data may have moved; other data are told here.
        differing.pop("data.root", None)
        if _weights_of(before) == _weights_of(now):
            differing.pop("data.mixture", None)
        if data != data_before:
            differing[DATA] = f"the data set's content was {data_before}, now {data}"
    refused = [name for name in differing if name not in force]
    if refused:
        lines = "\n".join(f"  {differing[name]}" for name in refused)
        raise ValueError(
            f"{workdir} was made by another config or other data:\n{lines}\nTake a new workdir, or "
            f"what made this one; to go on with these changes: --force={','.join(differing)}"
        )


def _weights_of(fields: dict) -> list:
    """Weight and targets of each set of a mixture, whatever folders the sets lie in."""
    return [list(entry[1:]) for entry in fields.get("data.mixture") or ()]


_FREE = {f"{section}.{name}" for section, names in FREE.items() for name in names}


class StopRequest:
    """Turns SIGTERM, SIGINT and SIGHUP, while its `with` block runs, into a flag for the loop.

    The first signal sets `requested`; a second SIGTERM or SIGINT ends the process at once. A closed
    terminal sends SIGHUP more than once, so another one changes nothing; where it was ignored
    before (nohup) it stays so. Outside the main thread, where Python delivers no signals,
    `requested` stays False.
    """

    def __init__(self):
        self.requested = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            numbers = (n for n in SIGNALS if not _is_nohup(n))
            self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, _):
        self.requested = True
        for each in self._before:  # not Python's SIGINT, which waits for a call to return
            signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)
        name = signal.Signals(number).name
        line = f"{name}: stopping after this step and saving; again to stop at once\n"
        # The loop may be printing at this moment, and there may be no terminal any more.
        with contextlib.suppress(OSError, ValueError):
            os.write(sys.stdout.fileno(), line.encode())


def _is_nohup(number: signal.Signals) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def environment() -> dict[str, str | int | None]:
    """Versions, XLA flags, jax settings and devices of this process's run."""
    devices = jax.devices()
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        **{name: os.environ.get(name, "") for name in VARIABLES},
        **{name: str(getattr(jax.config, name, None)) for name in SETTINGS},
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "processes": jax.process_count(),
    }


def record_environment(workdir: pathlib.Path, step: int, *, data: str = "") -> list[str]:
    """Appends a line about a start behind `step` steps to environment.jsonl, once for a run.

    Args:
      workdir: holds the file.
      step: steps done before this start.
      data: the fingerprint of the training data, "" for none.

    Returns:
      What differs from the start before, "NAME was OLD, now NEW": from there on numbers may differ
      in their last digits.
    """
    if not is_primary():
        return []
    starts, now = read_records(workdir / ENVIRONMENT), environment()
    known = {"data": data} if data else {}
    start = {"step": step, "started": time.strftime("%Y-%m-%d %H:%M:%S"), **known, **now}
    lines = "".join(json.dumps(each) + "\n" for each in [*starts, start])
    write_whole(workdir / ENVIRONMENT, lines)
    if not starts:
        return []
    before = starts[-1]
    return [
        f"{name} was {before[name]}, now {value}"
        for name, value in now.items()
        if name in before and before[name] != value
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
