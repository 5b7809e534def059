"""What, beside the config, may change a number: recorded at every start of a run."""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

import jax

from sor_jax.distributed.hosts import is_primary
from sor_jax.files import write_whole

FILE = "environment.jsonl"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "Pillow")
PACKAGES += ("pycocotools",)
VARIABLES = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE")
VARIABLES += ("JAX_DISABLE_MOST_OPTIMIZATIONS",)
SETTINGS = ("jax_default_matmul_precision", "jax_enable_x64", "jax_threefry_partitionable")
SETTINGS += ("jax_default_prng_impl",)


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


def record_environment(workdir: pathlib.Path, step: int) -> list[str]:
    """Appends a line about a start behind `step` steps to environment.jsonl, once for a run.

    Returns:
      What differs from the start before, "NAME was OLD, now NEW": from there on numbers may differ
      in their last digits.
    """
    if not is_primary():
        return []
    path = workdir / FILE
    # What follows the last line's end is nothing, or a line cut short.
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    now = environment()
    line = json.dumps({"step": step, "started": time.strftime("%Y-%m-%d %H:%M:%S"), **now})
    write_whole(path, "\n".join([*lines, line]) + "\n")
    if not lines:
        return []
    before = json.loads(lines[-1])
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
