"""Four simulated devices, a persistent compile cache, and the folders the environment names."""

import os
import pathlib

import pytest

from sor_jax import platform

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(platform.cache_dir() / "jax-tests"))
# Compiling is most of what the tests do: the cheap passes give the same values to rounding.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def pytest_configure(config):
    """Grain reads absl flags, which nobody parses under pytest."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _folder(variable, what):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is unset: it names the folder of {what}")
    path = pathlib.Path(path)
    if not path.is_dir():
        pytest.fail(f"{variable}={path} is not a folder")
    return path


@pytest.fixture(scope="session")
def goldens():
    """The folder of golden numbers of the original implementation."""
    return _folder("SOR_GOLDENS", "golden numbers")


@pytest.fixture(scope="session")
def real_data():
    """The folder of real photographs with human ranks, in ASSR layout."""
    return _folder("SOR_DATA", "real photographs")
