"""Metrics are numpy: importing them must not start jax."""

import pathlib
import subprocess
import sys

import sor_jax.metrics


def test_metrics_import_without_jax():
    folder = pathlib.Path(sor_jax.metrics.__file__).parent
    names = [f"sor_jax.metrics.{file.stem}" for file in folder.glob("[a-z]*.py")]
    assert len(names) >= 5
    program = (
        f"import sys, {', '.join(names)}; print([m for m in ('jax', 'flax') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder.parents[1],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
