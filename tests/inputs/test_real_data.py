"""Real photographs: polygons and RLE, every split, boxes and grey maps against the masks."""

import io

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.record import rank_classes, ranked_indices
from sor_jax.datasets.source import open_source
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.pad import pad_record

COUNTS = {
    "pascal_s": {"train": 595, "val": 85, "test": 85},
    "coco_salicon_mini": {"train": 59, "val": 7, "test": 17},
}


@pytest.fixture(scope="session")
def opened(real_data, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def opened(name, split):
        return open_source(
            "assr", root=real_data / name, split=split, cache_dir=cache, canvas_hw=(480, 640)
        )

    return opened


@pytest.mark.parametrize("name", COUNTS)
def test_every_record_of_every_split(opened, real_data, name):
    for split, count in COUNTS[name].items():
        source = opened(name, split)
        listed = (real_data / name / f"{split}_images.txt").read_text().split()
        assert len(source) == len(listed) == count
        for index, image_id in enumerate(listed[:40]):
            check_record(source[index], image_id)


def check_box(mask, box, image_id):
    """The mask lies in the box but for half a pixel; a thin tip of it may cover no pixel."""
    if not mask.any():
        assert np.prod(box[2:] - box[:2]) < 20, image_id
        return
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    extent = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    assert (extent[:2] >= box[:2] - 1).all(), (image_id, extent, box)
    assert (extent[2:] <= box[2:] + 1).all(), (image_id, extent, box)
    if mask.sum() > 100:
        share = np.prod(extent[2:] - extent[:2]) / np.prod(box[2:] - box[:2])
        assert 0.8 < share < 1.25, (image_id, extent, box)


def check_record(record, image_id):
    assert record.image_id == image_id
    masks = decode_masks(record.masks, record.image.shape[:2])
    for mask, box in zip(masks, record.boxes, strict=True):
        check_box(mask, box, image_id)
    ranked = ranked_indices(record.rank_order)
    classes = rank_classes(record.rank_order)[ranked]
    np.testing.assert_array_equal(classes, 4 - np.arange(len(ranked)))
    # The data set's own map shows the ranked objects, some in part behind others, and no more.
    for index, grey in zip(ranked, [255, 229, 204, 178, 153], strict=False):
        if masks[index].sum() > 2000:
            assert grey in record.grey[masks[index]], image_id
    assert not record.grey[~masks[ranked].any(axis=0)].any(), image_id


def test_a_photograph_of_the_right_size_is_not_resampled(opened, real_data):
    record = opened("pascal_s", "test")[0]
    path = real_data / f"pascal_s/images/test/{record.image_id}.jpg"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        want = np.asarray(image.convert("RGB"))
    got = pad_record(record, canvas_hw=(480, 640), max_objects=5)
    np.testing.assert_array_equal(got["image"], want)
    ranked = ranked_indices(record.rank_order)
    np.testing.assert_array_equal(got["gt_boxes"][: len(ranked)], record.boxes[ranked])
    masks = decode_masks(record.masks, (480, 640))[ranked]
    np.testing.assert_array_equal(got["gt_masks"][: len(ranked)], masks)


def test_smaller_inputs_keep_boxes_on_masks(opened):
    source = opened("coco_salicon_mini", "test")
    for index in range(len(source)):
        got = pad_record(source[index], canvas_hw=(192, 256), max_objects=5)
        np.testing.assert_array_equal(got["valid_hw"], [192, 256])
        for box, mask in zip(got["gt_boxes"], got["gt_masks"], strict=True):
            check_box(mask, box, source[index].image_id)


def test_most_outlines_fit_and_enclose_the_masks(opened):
    source, sizes = (
        opened("coco_salicon_mini", "train"),
        {"canvas_hw": (480, 640), "max_objects": 5},
    )
    ranked = outlined = 0
    for index in range(len(source)):
        got = pad_record(source[index], max_edges=192, **sizes)
        ranked += got["gt_valid"].sum()
        for slot in np.flatnonzero(got["gt_edge_valid"].any(axis=1)):
            outlined += 1
            x0, y0, x1, y1 = got["gt_edges"][slot][got["gt_edge_valid"][slot]].T
            box = [x0.min(), y0.min(), x0.max(), y0.max()]
            np.testing.assert_allclose(box, got["gt_boxes"][slot], atol=2)
            area = (x0 * y1 - x1 * y0).sum() / 2
            np.testing.assert_allclose(area, got["gt_masks"][slot].sum(), rtol=0.1, atol=30)
    assert outlined > 0.99 * ranked > 0


def test_workers_read_real_photographs_in_the_same_order(opened):
    options = {"canvas_hw": (96, 128), "batch_size": 4, "max_objects": 5, "seed": 3, "flip": True}
    source = opened("pascal_s", "val")
    alone = train_iterator(source, **options)
    helped = train_iterator(source, num_workers=2, **options)
    for _ in range(5):
        a, b = next(alone), next(helped)
        assert (a["gt_valid"].sum(axis=1) > 0).all()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    alone.close()
    helped.close()
