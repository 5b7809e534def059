"""Scaling experiments: the plan, what they say together, the page, and one as a user starts it."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments.scaling.peaks import peak_flops
from experiments.scaling.plan import Point, points, with_efficiency
from experiments.scaling.report import SIMULATED, markdown, plot, short_error

REPOSITORY = pathlib.Path(__file__).parents[3]


def test_weak_scaling_keeps_the_batch_a_device_and_strong_the_whole():
    assert points([1, 2, 4], [2], ["float32"]) == [
        Point("weak", 1, 2, "float32"),
        Point("weak", 2, 4, "float32"),
        Point("weak", 4, 8, "float32"),
        Point("strong", 1, 8, "float32"),
        Point("strong", 2, 8, "float32"),
        Point("strong", 4, 8, "float32"),
    ]
    alone = points([1], [1, 2], ["float32", "bfloat16"])
    assert [(p.scaling, p.batch, p.dtype) for p in alone] == [
        ("weak", 1, "float32"),
        ("weak", 2, "float32"),
        ("weak", 1, "bfloat16"),
        ("weak", 2, "bfloat16"),
    ]


def result(scaling, devices, batch, speed, **more):
    numbers = {"step_seconds": batch / speed, "wait_seconds": 0.01, "flops": 3e9, "share": 0.123}
    base = {"scaling": scaling, "devices": devices, "batch": batch, "dtype": "float32"}
    return base | {"images_per_second": speed, "peak_bytes": 2_500_000_000} | numbers | more


RESULTS = [
    result("weak", 1, 2, 10.0),
    result("weak", 2, 4, 18.0),
    {"scaling": "weak", "devices": 4, "batch": 8, "dtype": "float32", "error": "out of memory"},
    result("strong", 1, 8, 12.0),
    result("strong", 4, 8, 24.0),
]


def test_efficiency_is_relative_to_the_fewest_devices_of_a_series():
    found = [each["efficiency"] for each in with_efficiency(RESULTS)]
    assert found[:2] == pytest.approx([1.0, 0.9]) and found[2] is None
    assert found[3:] == pytest.approx([1.0, 0.5])


def test_the_page_has_a_row_for_each_and_says_what_is_simulated():
    page = markdown("Scaling of demo", with_efficiency(RESULTS), is_simulated=True)
    assert SIMULATED in page
    assert SIMULATED not in markdown("t", with_efficiency(RESULTS), is_simulated=False)
    rows = [line for line in page.splitlines() if line.startswith("| weak") or "strong" in line]
    assert rows[1] == (
        "| weak | 2 | 4 | float32 | 18.00 | 90% | 0.2222 | 0.0100 | 2.50 | 3.0 | 12.3% |"
    )
    assert rows[2] == "| weak | 4 | 8 | float32 | out of memory | -- | -- | -- | -- | -- | -- |"


@pytest.mark.parametrize("results", [RESULTS, RESULTS[:1], [RESULTS[2]]])
def test_the_plot_draws_whatever_there_is(results):
    picture = np.asarray(plot("title", with_efficiency(results), is_simulated=False))
    assert picture.ndim == 3 and (picture < 255).any()


@pytest.mark.parametrize(
    "kind, dtype, peak",
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "float32", 378e12),
        ("NVIDIA A100-SXM4-40GB", "float32", 156e12),
        ("TPU v5 lite", "bfloat16", 197e12),
        ("TPU v5p", "bfloat16", 459e12),
        ("Tesla T4", "bfloat16", None),
        ("cpu", "float32", None),
    ],
)
def test_peaks(kind, dtype, peak):
    assert peak_flops(kind, dtype) == peak


CONFIG = """
from tests.small import small_config

def get_config():
    config = small_config()
    config.data.update(canvas_hw=(64, 64), cache_dir={cache!r})
    config.data.num_scenes.update(train=12, val=4, test=4)
    return config
"""


@pytest.mark.slow
def test_one_command_measures_writes_and_says_that_it_means_nothing(tmp_path):
    (tmp_path / "small.py").write_text(CONFIG.format(cache=str(tmp_path / "cache")))
    command = [sys.executable, "-m", "experiments.scaling", f"--config={tmp_path}/small.py"]
    command += ["--devices", "1,2,4", "--batch-per-device", "1", "--steps=3", "--warmup=1"]
    command += [f"--out={tmp_path}/out", "--config.train.remat=True"]
    environment = os.environ | {"XLA_FLAGS": ""}
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert SIMULATED in ended.stdout
    results = json.loads((tmp_path / "out" / "small_cpu.json").read_text())
    assert [(r["scaling"], r["devices"], r["batch"]) for r in results] == [
        *(("weak", n, n) for n in (1, 2, 4)),
        *(("strong", n, 4) for n in (1, 2, 4)),
    ]
    for each in results:
        assert each["images_per_second"] > 0 and each["peak_bytes"] > 1e6 and each["flops"] > 1e6
        assert 0 <= each["wait_seconds"] <= each["step_seconds"]
        assert each["share"] is None and each["platform"] == "cpu"
    # A step of four images costs the same work, however it is spread.
    work = [each["flops"] * each["devices"] for each in results[3:]]
    np.testing.assert_allclose(work, work[0], rtol=0.05)
    assert "| strong | 4 | 4 | float32 |" in (tmp_path / "out" / "small_cpu.md").read_text()
    assert Image.open(tmp_path / "out" / "small_cpu.png").width > 500


def test_an_error_of_a_measurement_fits_into_a_cell():
    assert short_error("jax.errors: RESOURCE_EXHAUSTED: Out of memory allocating 9") == (
        "out of memory"
    )
    assert short_error("Traceback\n  File\nValueError: a | b\n") == "ValueError: a / b"
