"""Predictions of a split as COCO JSON: judged by pycocotools, read back as a data set."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sor_jax.datasets.coco.export import to_coco
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.source import open_source
from tests.evaluation.test_evaluate import make_batch, make_record, perfect, run


@pytest.fixture
def records():
    return [make_record("deep/one"), make_record("two", values=(1.0, 0.9, 0.8))]


@pytest.fixture
def found(records):
    """The ranked objects, some aside, and a detection without a rank."""
    per_image = []
    for record, hw in zip(records, make_batch(records)["valid_hw"], strict=True):
        boxes, ranks = perfect(record, hw)
        boxes = boxes + np.linspace(0, 4, len(boxes))[:, None]
        per_image.append(([*boxes, (1, 1, 9, 9)], [*ranks, -1]))
    return per_image


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_pycocotools_finds_the_same_ap(tmp_path, records, found, kind):
    metrics = run(records, found, out_dir=tmp_path, gallery=0, predictions=True)
    content = json.loads((tmp_path / "predictions.json").read_text())
    truth = COCO()
    truth.dataset = to_coco(records)
    for one in truth.dataset["annotations"]:
        one["ignore"] = 0
    truth.dataset["annotations"] = [
        one for one in truth.dataset["annotations"] if one["rank"] is not None
    ]
    truth.createIndex()
    assert [one["file_name"] for one in content["images"]] == ["deep/one.jpg", "two.jpg"]
    results = [
        one | {"score": one["score" if kind == "bbox" else "mask_score"]}
        for one in content["annotations"]
    ]
    judge = COCOeval(truth, truth.loadRes(results), kind)
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 2]
    name = {"bbox": "box_ap", "segm": "mask_ap"}[kind]
    assert 0.3 < metrics[name] < 1
    assert precision.mean() == pytest.approx(metrics[name], abs=1e-3)  # boxes are rounded


def test_read_back_as_a_data_set_it_has_the_ranks(tmp_path, records, found):
    run(records, found, out_dir=tmp_path / "out", gallery=0, predictions=True)
    (tmp_path / "out" / "predictions.json").rename(tmp_path / "test.json")
    for record in records:
        file = tmp_path / "images" / f"{record.image_id}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(record.image).save(file)
    options = {"root": tmp_path, "split": "test", "rank_field": "rank", "canvas_hw": (64, 64)}
    source = open_source("coco", cache_dir=tmp_path / "cache", **options)
    for index, (record, (_, ranks)) in enumerate(zip(records, found, strict=True)):
        again = source[index]
        assert again.image_id == record.image_id
        closed_up = [4 - sorted(ranks, reverse=True).index(r) if r >= 0 else -1 for r in ranks]
        assert again.rank_class.tolist() == closed_up
        masks = decode_masks(again.masks, record.image.shape[:2])
        assert masks[0].any() and masks.shape[0] == len(ranks)


def test_they_are_written_only_when_asked_for(tmp_path, records, found):
    run(records, found, out_dir=tmp_path, gallery=0)
    assert not (tmp_path / "predictions.json").exists()
