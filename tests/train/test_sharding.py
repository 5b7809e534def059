import jax
import numpy as np
import pytest

from sor_jax.train.sharding import make_mesh, put
from tests.train import toy


@pytest.mark.parametrize("batch_size, used", [(1, 1), (2, 2), (3, 3), (4, 4), (6, 3), (8, 4)])
def test_as_many_devices_work_as_divide_the_batch(batch_size, used):
    assert jax.local_device_count() == 4
    assert make_mesh(batch_size).size == used


def test_an_idle_device_is_reported(caplog):
    make_mesh(4)
    assert not caplog.records
    make_mesh(6)
    assert "batch_size 6 is not a multiple of the 4 devices: only 3 work" in caplog.text


def test_put_keeps_every_number_and_splits_the_batch():
    numpy_batch = toy.numpy_batch(0, 8)
    batch = put(numpy_batch, make_mesh(8))
    found = {
        "image": batch.image,
        "image_hw": batch.image_hw,
        "valid": batch.valid,
        "gt_boxes": batch.gt.boxes.xyxy,
        "gt_valid": batch.gt.boxes.valid,
        "gt_rank_class": batch.gt.rank_class,
        "gt_masks": batch.gt.masks,
        "gt_edges": batch.gt.polygons.edges,
        "gt_edge_part": batch.gt.polygons.part,
        "gt_edge_valid": batch.gt.polygons.valid,
    }
    for name, array in found.items():
        np.testing.assert_array_equal(array, numpy_batch[name])
        assert array.dtype == numpy_batch[name].dtype
        shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start)
        assert [shard.data.shape[0] for shard in shards] == [2] * 4
