"""What XLA is told depends on the version of jaxlib, and the user's own flags stay."""

import importlib.metadata
import os

import pytest

from sor_jax import platform

FLAG = "--xla_cpu_experimental_ynn_fusion_type="


@pytest.mark.parametrize(
    "version, flags, expected, told",
    [
        ("0.10.2", "--xla_other", f"--xla_other {FLAG}", ""),
        ("0.10.2", f"{FLAG}dot", f"{FLAG}dot", ""),
        ("0.11.2", "", "", ""),
        ("0.13.0", "", "", "jaxlib 0.13.0"),
    ],
)
def test_the_flag_for_cpus(monkeypatch, capsys, version, flags, expected, told):
    for name in ("JAX_TRACEBACK_FILTERING", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, "kept")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    platform.configure()
    assert os.environ["XLA_FLAGS"] == expected
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "kept"
    assert told in capsys.readouterr().err
