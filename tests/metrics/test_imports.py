"""Metrics are numpy: importing them must not start jax."""

import pathlib

import sor_jax.metrics
from tests.processes import output_of


def test_metrics_import_without_jax():
    folder = pathlib.Path(sor_jax.metrics.__file__).parent
    names = [f"sor_jax.metrics.{file.stem}" for file in folder.glob("[a-z]*.py")]
    assert len(names) >= 5
    program = (
        f"import sys, {', '.join(names)}; print([m for m in ('jax', 'flax') if m in sys.modules])"
    )
    assert output_of("-c", program).strip() == "[]"
