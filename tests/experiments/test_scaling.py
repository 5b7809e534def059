"""Speed experiments: the plan, the page and the plot, and the command as a user starts it."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.plots import write_figure
from experiments.scaling.plan import Point, points, with_efficiency
from experiments.scaling.report import DEVICES, ONE_DEVICE, SIMULATED, markdown, plot, short_error
from tests.processes import python


def test_weak_scaling_keeps_the_batch_a_device_and_strong_the_whole():
    planned = points([1, 2, 4], [2], ["float32"])
    assert planned[:3] == [Point("weak", n, 2 * n, "float32") for n in (1, 2, 4)]
    assert planned[3:] == [Point("strong", n, 8, "float32") for n in (1, 2, 4)]
    alone = points([1], [1, 2], ["float32", "bfloat16"])
    assert [(p.scaling, p.batch) for p in alone] == [("weak", 1), ("weak", 2)] * 2


def result(scaling, devices, batch, speed):
    return {
        "scaling": scaling,
        "devices": devices,
        "batch": batch,
        "dtype": "float32",
        "images_per_second": speed,
        "step_seconds": batch / speed,
        "wait_seconds": 0.01,
        "peak_bytes": 2_500_000_000,
        "flops": 3e9,
        "share": 0.123,
        "foreground": 35.04,
    }


FAILED = {"scaling": "weak", "devices": 4, "batch": 8, "dtype": "float32", "error": "out of memory"}
RESULTS = with_efficiency(
    [
        result("weak", 1, 2, 10.0),
        result("weak", 2, 4, 18.0),
        FAILED,
        result("strong", 1, 8, 12.0),
        result("strong", 4, 8, 24.0),
    ]
)


def test_efficiency_is_relative_to_the_fewest_devices_of_a_series():
    assert [each["efficiency"] for each in RESULTS] == [1.0, pytest.approx(0.9), None, 1.0, 0.5]


def test_the_page_has_a_row_for_each_and_says_what_is_simulated():
    page = markdown("Scaling of demo", RESULTS, SIMULATED)
    assert SIMULATED.warning in page
    assert SIMULATED.warning not in markdown("t", RESULTS, DEVICES)
    rows = [line for line in page.splitlines() if line.startswith(("| weak", "| strong"))]
    cells = "18.00 | 90% | 0.2222 | 0.0100 | 2.50 | 3.0 | 12.3% | -- | 35.0"
    assert rows[1] == f"| weak | 2 | 4 | float32 | {cells} |"
    assert rows[2].startswith("| weak | 4 | 8 | float32 | out of memory | -- | --")
    assert "| 4 | float32 | 18.0 | 222.2 | 2.5 |" in markdown("t", RESULTS, ONE_DEVICE)


@pytest.mark.parametrize("results", [RESULTS, RESULTS[:1], [FAILED]])
def test_the_plot_draws_whatever_there_is(results, tmp_path):
    write_figure(tmp_path / "plot.png", plot("title", results, SIMULATED))
    assert (np.asarray(Image.open(tmp_path / "plot.png").convert("L")) < 250).any()


def test_an_error_of_a_measurement_fits_into_a_cell():
    assert short_error("jax.errors: RESOURCE_EXHAUSTED: Out of memory allocating 9") == (
        "out of memory"
    )
    assert short_error("Traceback\n  File\nValueError: a | b\n") == "ValueError: a / b"


CONFIG = """
from tests.small import small_config

def get_config():
    config = small_config()
    config.data.update(canvas_hw=(64, 64), max_edges=32, cache_dir={cache!r})
    config.data.num_scenes.update(train=12, val=4, test=4)
    return config
"""


def scaling(folder, *flags, status=0):
    (folder / "small.py").write_text(CONFIG.format(cache=str(folder / "cache")))
    flags = [f"--config={folder}/small.py", f"--out={folder}", *flags]
    ended = python("-m", "experiments.scaling", *flags, timeout=1200, XLA_FLAGS="")
    assert ended.returncode == status, ended.stdout + ended.stderr
    return ended.stdout


def test_what_there_is_no_time_for_is_said(tmp_path):
    flags = ["--batches=1,2", "--dtypes=bfloat16", "--minutes=0.2"]
    said = scaling(tmp_path, *flags, status=1)
    results = json.loads((tmp_path / "speed_small_cpu.json").read_text())
    assert [(r["batch"], r["error"]) for r in results] == [
        (1, "not measured: out of time"),
        (2, "not measured: out of time"),
    ]
    page = (tmp_path / "speed_small_cpu.md").read_text()
    assert "| 2 | bfloat16 | not measured: out of time | -- |" in page and page in said


@pytest.mark.slow
def test_the_same_command_measures_the_batches_that_are_missing(tmp_path):
    flags = ["--config.model.roi_slots=40", "--steps=2"]
    flags += ["--config.model.proposals.train.max_proposals=50"]
    scaling(tmp_path, "--batches=1", *flags)
    first = json.loads((tmp_path / "speed_small_cpu.json").read_text())
    said = scaling(tmp_path, "--batches=1,2", *flags)
    results = json.loads((tmp_path / "speed_small_cpu.json").read_text())
    assert [r["batch"] for r in results] == [1, 2] and results[0] == first[0]
    assert said.count("predict_images_per_second") == 1
    assert (tmp_path / "speed_small_cpu.png").stat().st_size > 1000


@pytest.mark.slow
def test_devices_are_compared_on_the_data_set_and_simulated_ones_mean_nothing(tmp_path):
    flags = ["--devices=1,2", "--batch-per-device=1", "--steps=3", "--warmup=1"]
    said = scaling(tmp_path, *flags, "--config.train.remat=True")
    assert SIMULATED.warning in said
    results = json.loads((tmp_path / "small_cpu.json").read_text())
    assert [(r["scaling"], r["devices"], r["batch"]) for r in results] == [
        *(("weak", 1, 1), ("weak", 2, 2), ("strong", 1, 2), ("strong", 2, 2))
    ]
    for each in results:
        assert each["images_per_second"] > 0 and each["peak_bytes"] > 1e6 and each["flops"] > 1e6
        assert 0 <= each["wait_seconds"] <= each["step_seconds"]
        assert each["share"] is None and each["platform"] == "cpu" and each["objects"] >= 1
    # A step of two images costs the same work, however it is spread.
    work = [each["flops"] * each["devices"] for each in results[2:]]
    np.testing.assert_allclose(work, work[0], rtol=0.05)
    assert "| strong | 2 | 2 | float32 |" in (tmp_path / "small_cpu.md").read_text()
