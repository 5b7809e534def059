"""The step timer, its made-up inputs, and the table of what devices can do."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.flops import peak_flops
from experiments.made_up import made_up_batch
from experiments.regions import with_regions
from experiments.timer import Timer
from sor_jax.inputs.pad import empty_image
from sor_jax.structures import Boxes, Proposals
from tests.small import small_config

HW = (96, 128)


def test_a_made_up_batch_is_one_of_the_loaders():
    batch = made_up_batch(6, HW, 5, 32)
    filler = empty_image(canvas_hw=HW, max_objects=5, max_edges=32)
    assert batch.keys() == filler.keys() - {"objects_left_out"}
    for name, rows in batch.items():
        assert rows.shape == (6, *filler[name].shape) and rows.dtype == filler[name].dtype, name
    assert batch["gt_valid"][:, 0].all() and not batch["gt_valid"].all()
    for spot in zip(*np.nonzero(batch["gt_valid"]), strict=True):
        rows, columns = np.nonzero(batch["gt_masks"][spot])
        reached = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(reached, batch["gt_boxes"][spot], atol=1.5)
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


def test_a_timing_says_with_how_many_objects_and_regions():
    config = small_config()
    config.data.update(canvas_hw=(64, 64), max_edges=32)
    config.model.roi_slots = 40
    config.model.proposals.train.max_proposals = 50
    timer = Timer(config, batch_size=2, foreground=30)
    result = timer.train(2, warmup=1) | timer.predict(2, warmup=0)
    valid = made_up_batch(2, (64, 64), config.data.max_objects, 32)["gt_valid"]
    assert result["objects"] == valid.sum() / 2
    assert 25 < result["foreground"] <= 40 and result["detections"] == 8
    assert result["batch"] == 2 and np.isfinite(result["loss"]) and result["share"] is None
    assert result["step_seconds_least"] <= result["step_seconds"] <= result["step_seconds_most"]
    assert result["images_per_second"] == 2 / result["step_seconds"]
    assert result["predict_images_per_second"] > 0 and result["flops"] > 1e6
    assert 1e6 < result["peak_bytes"] < result["host_bytes"]
    with pytest.raises(ValueError, match="batch that stays"):
        Timer(config, batch_size=2, data="all", foreground=30)


@pytest.mark.parametrize(
    "kind, dtype, peak",
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989e12),
        ("NVIDIA H100 PCIe", "float32", 378e12),
        ("TPU v5 lite", "bfloat16", 197e12),
        ("TPU v5p", "bfloat16", 459e12),
        ("Tesla T4", "bfloat16", None),
        ("cpu", "float32", None),
    ],
)
def test_peaks(kind, dtype, peak):
    assert peak_flops(kind, dtype) == peak
