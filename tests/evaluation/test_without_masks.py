"""Objects that are known by their boxes alone: read, scored by what can be, and said to be so."""

import dataclasses
import json

import numpy as np
import pytest

from sor_jax.datasets.coco.export import to_coco
from sor_jax.datasets.masks import fill_boxes, no_mask
from sor_jax.datasets.source import open_source
from sor_jax.metrics.scoreboard import WITHOUT_MASKS, table
from tests.datasets import assr_tree
from tests.datasets.test_coco import coco_of, opened, write
from tests.evaluation.test_evaluate import KEYS, make_batch, make_record, perfect, run

NEED_MASKS = {"sor", "sor_multi", "sa_sor", "f_measure", "ndcg_linear", "ndcg_exp"}
NEED_MASKS |= {"mask_ap", "mask_ap50"}


def boxes_alone(record, which=None):
    empty = no_mask(record.image.shape[:2])
    masks = [
        empty if which is None or index in which else mask
        for index, mask in enumerate(record.masks)
    ]
    return dataclasses.replace(record, masks=masks, grey=None)


def test_fill_boxes_by_hand():
    filled = fill_boxes(np.array([[1, 0, 3, 2], [0.6, 1.2, 2.4, 2.6]]), (3, 4))
    assert filled.astype(int).tolist() == [
        [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]],
    ]


@pytest.mark.parametrize("which", [None, [1]])
def test_only_box_ap_is_computed_and_it_is_said(tmp_path, which):
    record = boxes_alone(make_record(), which)
    found = [perfect(record, make_batch([record])["valid_hw"][0])]
    metrics = run([record], found, out_dir=tmp_path, gallery=1)
    assert metrics["box_ap"] == pytest.approx(1)
    undefined = {name for name in KEYS if metrics[name] is None}
    assert undefined == NEED_MASKS | {"mae"}
    assert (metrics["objects_matched"], metrics["objects"], metrics[WITHOUT_MASKS]) == (0, 0, 1)
    assert "1 of 1 images have objects without a mask" in table(metrics)
    assert json.loads((tmp_path / "metrics.json").read_text())[WITHOUT_MASKS] == 1
    assert (tmp_path / "gallery.png").exists()


def test_photographs_with_masks_are_scored_as_they_are_alone():
    records = [make_record("one"), boxes_alone(make_record("two")), make_record("three")]
    found = [
        perfect(record, hw)
        for record, hw in zip(records, make_batch(records)["valid_hw"], strict=True)
    ]
    found[2] = (found[2][0] + 3, found[2][1][::-1])
    both = run(records, found)
    alone = run(records[::2], found[::2])
    assert both.pop(WITHOUT_MASKS) == 1
    for name in KEYS:
        if name not in ("images", "box_ap", "box_ap50"):
            assert both[name] == pytest.approx(alone[name]), name
    assert both["images"] == 3 and alone["images"] == 2


@pytest.mark.parametrize("segmentation", [[], None, "absent"])
def test_coco_json_of_boxes_and_ranks_is_a_set(tmp_path, segmentation):
    content = coco_of()
    for one in content["annotations"]:
        del one["segmentation"]
        if segmentation != "absent":
            one["segmentation"] = segmentation
    source = opened(write(tmp_path / "coco", content), tmp_path)
    for index, objects in enumerate(assr_tree.IMAGES.values()):
        record = source[index]
        np.testing.assert_array_equal(record.boxes, np.float32([box for box, _ in objects]))
        np.testing.assert_array_equal(record.rank_order > 0.5, [v > 0.5 for _, v in objects])
        assert not record.has_mask.any() and record.grey is None
    again = to_coco(source[index] for index in range(len(source)))
    assert all(one["segmentation"] == [] and one["area"] > 0 for one in again["annotations"])


def test_a_missing_mask_among_others_is_a_mistake(tmp_path):
    content = coco_of()
    del content["annotations"][0]["segmentation"]
    with pytest.raises(ValueError, match="record two: object 0: no field 'segmentation'"):
        opened(write(tmp_path / "coco", content), tmp_path)


@pytest.mark.parametrize("has_maps", [True, False])
def test_assr_layout_without_masks(tmp_path, has_maps):
    """Its maps, where there are some, are taken as they are."""
    root = tmp_path / "assr"
    assr_tree.write_split(root, "train", segmentation=lambda box: [])
    if not has_maps:
        for file in (root / "gt/train").iterdir():
            file.unlink()
    options = {"root": root, "split": "train", "cache_dir": tmp_path, "canvas_hw": (9, 9)}
    if not has_maps:
        with pytest.raises(FileNotFoundError, match="gt/train"):
            open_source("assr", **options)
        return
    record = open_source("assr", **options)[0]
    assert not record.has_mask.any() and record.grey.any()
