"""The sweep over batch sizes and dtypes: its made-up inputs, and the command as a user gives it."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.scaling.made_up import made_up_batch, with_regions
from sor_jax.inputs.pad import empty_image
from sor_jax.structures import Boxes, Proposals

REPOSITORY = pathlib.Path(__file__).parents[3]
HW = (96, 128)


def test_a_made_up_batch_is_one_of_the_loaders():
    batch = made_up_batch(6, HW, 5, 32)
    filler = empty_image(canvas_hw=HW, max_objects=5, max_edges=32)
    assert batch.keys() == filler.keys() - {"objects_left_out"}
    for name, rows in batch.items():
        assert rows.shape == (6, *filler[name].shape) and rows.dtype == filler[name].dtype, name
    assert batch["gt_valid"][:, 0].all() and not batch["gt_valid"].all()


def test_its_masks_fill_their_boxes_and_its_outlines_go_around_them():
    batch = made_up_batch(6, HW, 5, 32)
    for spot in zip(*np.nonzero(batch["gt_valid"]), strict=True):
        rows, columns = np.nonzero(batch["gt_masks"][spot])
        reached = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(reached, batch["gt_boxes"][spot], atol=1.5)
        assert (batch["gt_boxes"][spot] >= 0).all()
        assert (batch["gt_boxes"][spot] <= [HW[1], HW[0]] * 2).all()
        x0, y0, x1, y1 = batch["gt_edges"][spot][batch["gt_edge_valid"][spot]].T
        inside = abs((x0 * y1 - x1 * y0).sum()) / 2  # the shoelace
        np.testing.assert_allclose(inside, batch["gt_masks"][spot].sum(), rtol=0.1, atol=8)


@dataclasses.dataclass(frozen=True)
class _Finds:
    """Stands for an objective whose detector finds one box."""

    slots: int = 6

    def propose(self, levels):
        xyxy = jnp.zeros((2, self.slots, 4)) + levels
        valid = jnp.broadcast_to(jnp.arange(self.slots) == 0, (2, self.slots))
        return Proposals(Boxes(xyxy, valid), jnp.zeros((2, self.slots)))


def test_regions_are_copies_of_an_images_own_objects():
    xyxy = np.float32([[[0, 0, 20, 10], [40, 40, 80, 90]], [[5, 6, 25, 36], [0, 0, 0, 0]]])
    gt = Boxes(xyxy, np.array([[True, True], [True, False]]))
    found = with_regions(_Finds(), gt, 4).propose(7.0).boxes
    assert found.valid.tolist() == [[True, False, True, True, True, True]] * 2
    np.testing.assert_array_equal(found.xyxy[:, 0], 7.0)
    for image, objects in enumerate(((0, 1, 0, 1), (0, 0, 0, 0))):
        for copy, index in zip(found.xyxy[image, 2:], objects, strict=True):
            side = np.tile(xyxy[image, index, 2:] - xyxy[image, index, :2], 2)
            apart = np.abs(copy - xyxy[image, index]) / side
            assert 0 < apart.max() <= 0.08


CONFIG = """
from tests.small import small_config

def get_config():
    config = small_config()
    config.data.update(canvas_hw=(64, 64), max_edges=32)
    return config
"""


def sweep(folder, *flags):
    (folder / "small.py").write_text(CONFIG)
    command = [sys.executable, "-m", "experiments.scaling.gpu_sweep", f"--config={folder}/small.py"]
    command += ["--steps=2", f"--out={folder}", *flags]
    environment = os.environ | {"XLA_FLAGS": ""}
    ended = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=1200
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout, json.loads((folder / "speed_small_cpu.json").read_text())


def test_what_there_is_no_time_for_is_said(tmp_path):
    said, results = sweep(tmp_path, "--batches=1,2", "--dtypes=bfloat16", "--minutes=0.2")
    assert [(r["batch"], r["error"]) for r in results] == [
        (1, "not measured: out of time"),
        (2, "not measured: out of time"),
    ]
    page = (tmp_path / "speed_small_cpu.md").read_text()
    assert "| 2 | bfloat16 | not measured: out of time | -- |" in page and page in said


@pytest.mark.slow
def test_the_same_command_measures_what_is_missing(tmp_path):
    flags = ["--dtypes=float32,bfloat16", "--config.model.roi_slots=40"]
    flags += ["--config.model.proposals.train.max_proposals=50"]
    _, first = sweep(tmp_path, "--batches=1", *flags)
    said, results = sweep(tmp_path, "--batches=1,2", *flags)
    assert [(r["dtype"], r["batch"]) for r in results] == [
        *(("float32", 1), ("float32", 2), ("bfloat16", 1), ("bfloat16", 2))
    ]
    assert results[0] == first[0] and results[2] == first[1]
    assert said.count("predict_images_per_second") == 2
    for each in results:
        assert "error" not in each and np.isfinite(each["loss"])
        assert each["images_per_second"] > 0 and each["predict_images_per_second"] > 0
        assert each["peak_bytes"] > 1e6 and each["flops"] > 1e6 and each["share"] is None
        assert each["foreground"] > 30 and each["detections"] == 8
    assert (tmp_path / "speed_small_cpu.png").stat().st_size > 1000
