import jax
import numpy as np
import pytest

from sor_jax.distributed.sharding import make_mesh, make_predict, put, put_images
from sor_jax.structures import Batch, Images
from tests.train import toy


def test_all_devices_work_or_those_that_are_named():
    assert make_mesh().size == jax.device_count() == 4
    assert make_mesh(jax.devices()[1:3]).size == 2


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="should evenly divide"):
        put(toy.numpy_batch(0, 6), make_mesh())


def test_put_keeps_every_number_and_splits_the_batch():
    numpy_batch = toy.numpy_batch(0, 8)
    batch = put(numpy_batch, make_mesh())
    found = {
        "image": batch.image,
        "valid_hw": batch.valid_hw,
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


def test_put_images_leaves_the_ground_truth_behind():
    numpy_batch = toy.numpy_batch(0, 8)
    images = put_images(numpy_batch, make_mesh())
    assert type(images) is Images
    for name in ("image", "valid_hw", "valid"):
        np.testing.assert_array_equal(getattr(images, name), numpy_batch[name])


def test_a_prediction_sees_images_alone_unless_it_asks_for_more():
    numpy_batch, seen = toy.numpy_batch(0, 4), []

    def predict(variables, images):
        seen.append(type(images))
        return images.valid_hw

    for options in ({}, {"put": put}):
        make_predict(predict, make_mesh(), **options)({}, numpy_batch)
    assert seen == [Images, Batch]
