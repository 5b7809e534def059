"""What XLA is told before jax first runs: a flag that pays on CPUs, and a compile cache."""

import importlib.metadata
import os
import sys

from sor_jax.files import cache_dir

# An empty fusion type keeps float32 convolution gradients on oneDNN-like kernels: up to 4.6 times
# faster on a CPU by jaxlib 0.10, no faster by 0.11.2, which knows the flag as well. XLA aborts the
# process on a flag that it does not know, hence the versions.
_CPU_FLAG = "--xla_cpu_experimental_ynn_fusion_type="
_PAYS_BY = ("0.10.",)
_OF_NO_USE_BY = ("0.11.",)


def configure() -> None:
    """Appends the CPU flag to XLA_FLAGS and turns the persistent compile cache on.

    Call it before the first use of jax. A flag or a cache folder that the user has set is kept.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    version = importlib.metadata.version("jaxlib")
    if _CPU_FLAG not in flags and version.startswith(_PAYS_BY):
        os.environ["XLA_FLAGS"] = f"{flags} {_CPU_FLAG}".strip()
    elif _CPU_FLAG not in flags and not version.startswith(_OF_NO_USE_BY):
        print(
            f"jaxlib {version}: not known whether it takes {_CPU_FLAG}, faster steps on "
            "a CPU by jaxlib 0.10; left out (XLA_FLAGS sets it)",
            file=sys.stderr,
        )
    # commands.py tells by the last frame who raised an error; jax would leave its own out.
    os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
