"""What the tests run on: simulated devices, cheap compiling, little memory, the folders of data.

With SOR_AS_SHIPPED set, jax is configured as every command configures it: all of XLA's passes, the
flags of sor_jax.platform, one device. `make test` runs the tests of AS_SHIPPED in the Makefile so.
"""

import ctypes
import functools
import gc
import importlib.metadata
import os
import pathlib
import resource
import signal
import sys

import pytest

from sor_jax import platform

if os.environ.get("SOR_AS_SHIPPED"):
    platform.configure()
else:
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=4"]
    if importlib.metadata.version("jaxlib").startswith(("0.10.", "0.11.")):  # others may abort
        flags.append("--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED")
    os.environ["XLA_FLAGS"] = " ".join(flags)
    # Compiling is most of what the tests do: the cheap passes give the same values to rounding.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(platform.cache_dir() / "jax-tests"))
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")

_MMAP_THRESHOLD = -3  # of malloc.h
_PEAKS = {}  # of the workers, by name


def pytest_configure(config):
    """Grain reads absl flags, which nobody parses under pytest."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    if sys.platform == "linux":  # arrays from a megabyte on are the system's again once freed
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)


@pytest.fixture(autouse=True, scope="module")
def _programs_are_dropped():
    """Compiled programs of a finished module go: they add up to gigabytes over a whole run."""
    _give_back_after_compiling()
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    _give_back()


@pytest.fixture
def hangups():
    """SIGHUP reaches this process and those that it starts, under nohup, too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@functools.cache
def _give_back_after_compiling():
    """What compiling a program took, of a large one a gigabyte, goes before the program runs."""
    import jax

    def listen(event, seconds, **_):
        if event.endswith("backend_compile_duration") and seconds > 0.3:
            _give_back()

    jax.monitoring.register_event_duration_secs_listener(listen)


def _give_back():
    """Memory that is free within this process goes back to the system."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _peaks():
    """GB of this process and of the largest of its children."""
    who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return [resource.getrusage(one).ru_maxrss / 2**20 for one in who]


def pytest_sessionfinish(session):
    """A worker hands its peak of memory to the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["peaks"] = _peaks()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Takes the peak of a worker that has ended well."""
    _PEAKS[node.gateway.id] = getattr(node, "workeroutput", {}).get("peaks")


def pytest_terminal_summary(terminalreporter):
    """Prints what memory the run took at most."""
    for name, peaks in (_PEAKS or {"tests": _peaks()}).items():
        if peaks:
            own, child = peaks
            terminalreporter.write_line(
                f"peak memory of {name}: {own:.1f} GiB, of its largest child {child:.1f} GiB"
            )


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
