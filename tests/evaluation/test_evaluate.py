"""evaluate: from detections in network-input pixels to numbers, rank maps and pictures."""

import dataclasses
import json
import threading
import time

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.masks import decode_masks
from sor_jax.evaluation.loop import Seen, evaluate, in_photograph
from sor_jax.metrics.scoreboard import table
from sor_jax.structures import Boxes, Detections
from tests.inputs.fakes import made_up_record
from tests.pictures import mask_of

KEYS = [
    *("mae", "sor", "images_used", "images", "sor_multi", "multi_images"),
    *("objects_matched", "objects", "sa_sor", "f_measure", "ndcg_linear", "ndcg_exp"),
    *("box_ap", "box_ap50", "mask_ap", "mask_ap50"),
]
BOXES = ((2, 2, 14, 12), (18, 4, 30, 22), (4, 16, 16, 26))
VALUES = (0.9, 1.0, 0.3)  # the third has no rank
INPUT = (32, 48)


def make_record(image_id="one", *, hw=(28, 40), boxes=BOXES, values=VALUES):
    grey = np.zeros(hw, np.uint8)
    for box, value in zip(boxes, values, strict=True):
        if value > 0.5:
            grey[mask_of(box, hw)] = int(255 * value)
    record = made_up_record(hw=hw, boxes=boxes, values=values)
    return dataclasses.replace(record, image_id=image_id, grey=grey)


def make_batch(records, *, size=None, input_hw=INPUT):
    """What the model sees of the photographs: only how large each is in the input."""
    size = size or len(records)
    valid_hw = np.zeros((size, 2), np.int32)
    for slot, record in enumerate(records):
        h, w = record.image.shape[:2]
        scale = min(input_hw[0] / h, input_hw[1] / w)
        valid_hw[slot] = int(h * scale + 0.5), int(w * scale + 0.5)
    valid = np.arange(size) < len(records)
    return {"image": np.zeros((size, *input_hw, 3), np.uint8), "valid_hw": valid_hw, "valid": valid}


def detections(per_image, *, slots=4):
    """Detections from (boxes in input pixels, rank classes) of each image; padding is junk."""
    b = len(per_image)
    xyxy = np.full((b, slots, 4), np.nan, np.float32)
    valid = np.zeros((b, slots), bool)
    rank_class = np.full((b, slots), 4, np.int32)
    for i, (boxes, ranks) in enumerate(per_image):
        valid[i, : len(boxes)] = True
        xyxy[i, : len(boxes)] = np.reshape(boxes, (-1, 4))
        rank_class[i, : len(ranks)] = ranks
    score = np.tile(np.linspace(0.9, 0.3, slots, dtype=np.float32), (b, 1))
    return Detections(
        boxes=Boxes(xyxy=xyxy, valid=valid),
        score=score,
        mask_score=score * 0.5,
        mask_prob=np.ones((b, slots, 28, 28), np.float32),
        rank_logit=np.zeros((b, slots, 5), np.float32),
        rank_class=rank_class,
        finite=np.ones(b, bool),
    )


def perfect(record, valid_hw):
    """The ranked objects' own boxes, moved to the input, and their rank classes."""
    h, w = record.image.shape[:2]
    scale = np.array([valid_hw[1] / w, valid_hw[0] / h] * 2)
    ranked = record.rank_order > 0.5
    return record.boxes[ranked] * scale, np.rint(10 * record.rank_order[ranked] - 6).astype(int)


def run(records, per_image, **options):
    batch = make_batch(records)
    return evaluate(lambda _: detections(per_image), [(batch, records)], **options)


def test_right_detections_score_one():
    record = make_record()
    metrics = run([record], [perfect(record, make_batch([record])["valid_hw"][0])])
    assert list(metrics) == KEYS
    assert metrics["mae"] == 0
    counts = [metrics[k] for k in ("images_used", "images", "multi_images")]
    assert counts == [1, 1, 1]
    assert (metrics["objects_matched"], metrics["objects"]) == (2, 2)
    ones = [k for k in KEYS if k in ("sor", "sor_multi", "sa_sor") or "_ap" in k or "ndcg" in k]
    assert [metrics[k] for k in ones] == pytest.approx([1] * len(ones))


@pytest.mark.parametrize("hw", [(28, 40), (56, 80), (90, 60), (480, 640), (17, 120)])
def test_boxes_come_back_to_photographs_of_any_size(hw):
    h, w = hw
    boxes = [(w // 4, h // 4, w // 2, h // 2), (w // 2, 0, w, h // 4)]
    record = make_record(hw=hw, boxes=boxes, values=(1.0, 0.9))
    metrics = run([record], [perfect(record, make_batch([record])["valid_hw"][0])])
    assert metrics["mask_ap"] == pytest.approx(1)
    assert metrics["mae"] < 2e-4  # the corners of large masks are round


def test_a_swapped_order_is_seen_by_every_ranking_metric():
    record = make_record()
    boxes, ranks = perfect(record, make_batch([record])["valid_hw"][0])
    metrics = run([record], [(boxes, ranks[::-1])])
    assert metrics["sor"] == metrics["sor_multi"] == 0
    assert metrics["sa_sor"] == pytest.approx(-1)
    assert metrics["box_ap"] == pytest.approx(1)
    assert metrics["ndcg_linear"] == pytest.approx(0.8)


def test_no_detections():
    record = make_record()
    metrics = run([record], [([], [])])
    assert metrics["sor"] is None
    assert metrics["sor_multi"] is None
    zero = ("images_used", "objects_matched", "sa_sor", "f_measure", "box_ap", "mask_ap50")
    assert [metrics[k] for k in zero] == [0] * len(zero)
    assert metrics["objects"] == 2
    assert metrics["mae"] == pytest.approx(record.grey.mean() / 255)
    assert "SOR -- (0 images)" in table(metrics)


def test_images_without_objects():
    empty = make_record(boxes=(), values=())
    unranked = make_record(values=(0.5, 0.2, 0.0))
    metrics = run([empty, unranked], [([(0, 0, 10, 10)], [4]), ([], [])])
    assert (metrics["images"], metrics["images_used"], metrics["objects"]) == (2, 0, 0)
    undefined = [k for k in KEYS if metrics[k] is None]
    expected = (
        "sor sor_multi sa_sor f_measure ndcg_linear ndcg_exp box_ap box_ap50 mask_ap mask_ap50"
    )
    assert undefined == expected.split()
    assert table(metrics).count("--") == len(undefined)


def test_no_image_at_all():
    metrics = evaluate(lambda _: None, [])
    assert (metrics["images"], metrics["mae"]) == (0, None)
    assert "SOR -- (0 images)" in table(metrics)


def test_fillers_and_padded_slots_change_nothing():
    record = make_record()
    batch = make_batch([record], size=3)
    found = perfect(record, batch["valid_hw"][0])
    junk = ([(0, 0, 30, 30)], [4])
    full = evaluate(lambda _: detections([found, junk, junk]), [(batch, [record])])
    assert full == run([record], [found])


def test_batches_of_any_size_give_the_same_numbers():
    records = [make_record(str(i), hw=(28 + i, 40 + 3 * i)) for i in range(5)]
    batches = [make_batch(records[:2]), make_batch(records[2:4]), make_batch(records[4:], size=2)]
    found = {r.image_id: perfect(r, make_batch([r])["valid_hw"][0]) for r in records}
    found["3"] = (found["3"][0][:1], found["3"][1][:1])
    whole = run(records, [found[r.image_id] for r in records])
    parts = [records[:2], records[2:4], records[4:]]
    calls = iter(parts)

    def predict(batch):
        images = [found[r.image_id] for r in next(calls)]
        return detections(images + [([], [])] * (len(batch["valid"]) - len(images)))

    done = []
    split = evaluate(predict, zip(batches, parts, strict=True), progress=done.append)
    assert split == whole
    assert done == [2, 2, 1]


def test_boxes_are_clipped_and_empty_ones_dropped():
    record = make_record(hw=(32, 48))
    boxes = [(-9, -9, 10, 10), (50, 4, 60, 9), (40, 20, 99, 99), (5, 5, 5, 9)]
    found = detections([(boxes, [4, 3, 2, 1])])
    prediction = in_photograph(found, Seen(found, 0, np.array([32, 48]), record))
    assert prediction.xyxy.tolist() == [[0, 0, 10, 10], [40, 20, 48, 32]]
    assert prediction.rank_class.tolist() == [4, 2]
    np.testing.assert_allclose(prediction.score, found.score[0, [0, 2]])
    np.testing.assert_array_equal(decode_masks(prediction.encoded, (32, 48)), prediction.masks)
    assert prediction.masks.sum(axis=(1, 2)).tolist() == [100, 8 * 12]


def test_unranked_detections_count_for_ap_alone():
    record = make_record(hw=(32, 48))
    boxes, ranks = perfect(record, (32, 48))
    metrics = run([record], [(boxes, [-1, -1])])
    assert metrics["mask_ap50"] == pytest.approx(1)
    assert (metrics["images_used"], metrics["sa_sor"], metrics["f_measure"]) == (0, 0, 0)
    found = detections([(boxes, [-1, 2])])
    some = in_photograph(found, Seen(found, 0, np.array([32, 48]), record))
    assert (some.ranked.tolist(), some.rank_class.tolist()) == ([1], [2])
    np.testing.assert_array_equal(some.masks[0], decode_masks(record.masks[1:2], (32, 48))[0])


def test_a_box_that_is_not_finite_names_the_image():
    record = make_record("kitchen")
    with pytest.raises(FloatingPointError, match="kitchen.*not finite"):
        run([record], [([(np.nan, 0, 4, 4)], [4])])


def test_files(tmp_path):
    records = [make_record("a"), make_record("sub/b", hw=(60, 30)), make_record("c")]
    found = [perfect(r, make_batch([r])["valid_hw"][0]) for r in records]
    found[2] = ([], [])
    shown = []
    metrics = run(
        records,
        found,
        out_dir=tmp_path / "out",
        gallery=2,
        show=lambda name, picture: shown.append((name, picture.shape, picture.dtype)),
    )
    out = tmp_path / "out"
    files = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    maps, panels = [f"rank_maps/{n}.png" for n in ("a", "c", "sub/b")], ["a.png", "sub/b.png"]
    assert files == ["gallery.png", *[f"gallery/{p}" for p in panels], "metrics.json", *maps]
    saved = json.loads((out / "metrics.json").read_text())
    assert list(saved) == KEYS
    assert saved == metrics
    np.testing.assert_array_equal(Image.open(out / "rank_maps/a.png"), records[0].grey)
    assert not np.asarray(Image.open(out / "rank_maps/c.png")).any()
    assert [name for name, _, _ in shown] == ["a", "sub/b"]
    assert all(shape[2] == 3 and dtype == np.uint8 for _, shape, dtype in shown)


def test_two_records_never_share_a_file(tmp_path):
    records = [make_record("a/x"), make_record("a_x"), make_record("a.x"), make_record("a/x.png")]
    found = [perfect(r, make_batch([r])["valid_hw"][0]) for r in records]
    run(records, found, out_dir=tmp_path)
    for folder in ("rank_maps", "gallery"):
        assert len([p for p in (tmp_path / folder).rglob("*") if p.is_file()]) == 4


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/", "", "."])
def test_an_id_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    record = make_record(name)
    with pytest.raises(ValueError, match="image id"):
        run([record], [([], [])], out_dir=tmp_path / "out")


def test_the_next_batch_is_read_while_one_is_predicted():
    read, coming = [threading.Event() for _ in range(3)], iter([1, 2, 2])

    def batches():
        for place, event in enumerate(read):
            event.set()
            record = make_record(str(place))
            yield make_batch([record]), [record]

    def predict(_):
        assert read[next(coming)].wait(timeout=20)
        return detections([([], [])])

    assert evaluate(predict, batches())["images"] == 3


def test_what_reading_meets_ends_the_evaluation():
    def batches():
        record = make_record()
        yield make_batch([record]), [record]
        raise ValueError("record two is damaged")

    with pytest.raises(ValueError, match="record two"):
        evaluate(lambda _: detections([([], [])]), batches())


def test_scoring_lags_behind_by_a_few_batches_only():
    """So many photographs are held in memory, however slow the scoring."""
    records = [make_record(str(i)) for i in range(8)]
    scored, ahead = [], []

    def predict(batch):
        ahead.append(len(ahead) + 1 - len(scored))
        return detections([([], [])])

    batches = [(make_batch([record]), [record]) for record in records]
    evaluate(predict, batches, progress=scored.append)
    assert len(scored) == 8 and max(ahead) <= 3


def test_files_of_a_second_run_replace_the_first(tmp_path):
    record = make_record()
    found = perfect(record, make_batch([record])["valid_hw"][0])
    run([record], [found], out_dir=tmp_path)
    run([record], [([], [])], out_dir=tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text())["sor"] is None
    assert not np.asarray(Image.open(tmp_path / "rank_maps/one.png")).any()
    assert not list(tmp_path.rglob("*.partial"))


def test_fifty_detections_a_photograph_are_scored_fast():
    rng = np.random.default_rng(0)
    hw = (480, 640)
    corner = rng.integers(0, 300, (50, 2))
    boxes = np.concatenate([corner, corner + rng.integers(40, 170, (50, 2))], axis=1)
    record = make_record(hw=hw, boxes=boxes[:5].tolist(), values=(1.0, 0.9, 0.8, 0.7, 0.6))
    found = detections([(boxes, [4, 3, 2, 1, 0] + [-1] * 45)], slots=50)
    found = found.replace(mask_prob=rng.random((1, 50, 28, 28)).astype(np.float32))
    batch = make_batch([record], input_hw=hw)
    start = time.process_time()
    evaluate(lambda _: found, [(batch, [record])] * 4)
    assert (time.process_time() - start) / 4 < 0.2  # about 0.015 s on an idle core


def test_objects_without_a_rank_are_judged_by_detection_where_all_count():
    """The third object has no rank: it counts for AP, not for the metrics of the order."""
    record = make_record()
    batch = make_batch([record])
    scale = INPUT[0] / record.image.shape[0]
    found = detections([(scale * np.array(BOXES), [3, 4, -1])])
    ranked, everything = (
        evaluate(lambda _: found, [(batch, [record])], targets=t) for t in ("ranked", "all")
    )
    of_order = [key for key in KEYS if not key.startswith(("box", "mask"))]
    assert {key: ranked[key] for key in of_order} == {key: everything[key] for key in of_order}
    missed = detections([(scale * np.array(BOXES[:2]), [3, 4])])
    missed = evaluate(lambda _: missed, [(batch, [record])], targets="all")
    assert everything["box_ap50"] == 1
    assert missed["box_ap50"] < 0.7  # two of three


def test_a_photograph_without_ranks_has_no_order_to_be_judged_by(tmp_path):
    record = dataclasses.replace(make_record(values=(0.0, 0.0, 0.0)), grey=None)
    batch = make_batch([record])
    scale = INPUT[0] / record.image.shape[0]
    found = detections([(scale * np.array(BOXES[:2]), [3, 4])])
    metrics = evaluate(lambda _: found, [(batch, [record])], targets="all", out_dir=tmp_path)
    assert (metrics["objects_matched"], metrics["objects"]) == (2, 3)
    of_order = ("mae", "sor", "sor_multi", "sa_sor", "f_measure", "ndcg_linear")
    assert [metrics[key] for key in of_order] == [None] * len(of_order)
    assert metrics["box_ap50"] == pytest.approx(2 / 3, abs=0.01)
    assert (tmp_path / "gallery/one.png").exists()
