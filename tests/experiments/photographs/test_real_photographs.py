"""The report on real photographs: rules, help and intervals on hand-made scenes."""

import json

import jax
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from experiments.photographs import rules
from experiments.photographs.helped import TrueBoxes, true_masks, true_order
from experiments.photographs.report import write_report
from experiments.photographs.scores import Row, bootstrap, markdown
from sor_jax.checkpoints.weights import save_variables
from sor_jax.datasets.record import Record
from sor_jax.evaluation.checkpoint import evaluate_variables
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction
from tests.datasets import assr_tree
from tests.small import made_up_batch, small_network

HW = (40, 60)
# x0 y0 x1 y1 and rank value, in the file's order: small at a corner, large, in the middle.
OBJECTS = [((0, 0, 6, 6), 0.8), ((2, 20, 26, 40), 1.0), ((26, 14, 36, 26), 0.9)]


def rle(box):
    mask = np.zeros(HW, np.uint8)
    x0, y0, x1, y1 = box
    mask[y0:y1, x0:x1] = 1
    return coco_mask.encode(np.asfortranarray(mask))


def record():
    boxes, values = zip(*OBJECTS, strict=True)
    return Record(
        image_id="a",
        image=np.zeros((*HW, 3), np.uint8),
        boxes=np.array(boxes, np.float32),
        masks=[rle(box) for box in boxes],
        polygons=[[] for _ in boxes],
        rank_order=np.array(values, np.float32),
        grey=np.zeros(HW, np.uint8),
    )


def detections(boxes, ranks):
    encoded = [rle(box) for box in boxes]
    masks = np.array([coco_mask.decode(e) for e in encoded], bool)
    ones = np.ones(len(boxes))
    index = np.arange(len(boxes))
    return Prediction(np.array(boxes, float), ones, ones, encoded, index, masks, np.array(ranks))


def classes(prediction):
    """Rank class of every object that has one, by index."""
    return dict(zip(prediction.ranked.tolist(), prediction.rank_class.tolist(), strict=True))


def test_rules_order_the_true_masks():
    truth = truth_of(record())
    larger = rules.in_order(truth, rules.larger_first(truth))
    assert classes(larger) == {1: 4, 2: 3, 0: 2}
    central = rules.in_order(truth, rules.nearest_the_centre(truth))
    assert classes(central) == {2: 4, 1: 3, 0: 2}
    drawn = {tuple(classes(rules.in_order(truth, rules.at_random(s)(truth)))) for s in range(40)}
    assert len(drawn) == 6


def test_a_sixth_object_gets_no_rank():
    truth = truth_of(record())
    truth = truth._replace(masks=np.concatenate([truth.masks, truth.masks]))
    order = rules.in_order(truth, np.array([6.0, 5, 4, 3, 2, 1]))
    assert classes(order) == {0: 4, 1: 3, 2: 2, 3: 1, 4: 0}


def test_true_masks_take_the_order_given_to_the_boxes():
    """Boxes come most salient first: objects 1, 2, 0 of the file."""
    truth = truth_of(record())
    given = true_masks(np.array([2, 3, 4]), record(), truth)
    assert classes(given) == {1: 2, 2: 3, 0: 4}
    for index, mask in zip(given.ranked, given.masks, strict=True):
        np.testing.assert_array_equal(mask, truth.masks[index])
    left_out = true_masks(np.array([4, -1, 3]), record(), truth)
    assert classes(left_out) == {1: 4, 0: 3}


def test_true_order_drops_what_shows_no_object():
    found = detections([(40, 0, 60, 10), (26, 14, 36, 25), (2, 22, 26, 40)], [4, 3, 2])
    helped = true_order(found, truth_of(record()))
    assert classes(helped) == {2: 4, 1: 3}
    np.testing.assert_array_equal(helped.masks, found.masks[[2, 1]])


@pytest.mark.parametrize(("ranks", "sor"), [([2, 4, 3], 1.0), ([4, 2, 3], 0.0)])
def test_a_row_tells_order_and_masks_apart(ranks, sor):
    row = Row(keep=True)
    row.add(record(), detections([box for box, _ in OBJECTS], ranks))
    result = row.result()
    assert result["sor_multi"] == pytest.approx(sor)
    assert (result["matched"], result["shown"], result["mean_iou"]) == (1.0, 1.0, 1.0)
    assert result["interval"] == pytest.approx([sor, sor])
    assert row.examples[0][0].image_id == "a"
    assert "100 %" in markdown({"model": result})


def test_a_row_counts_what_is_not_shown():
    row = Row()
    row.add(record(), detections([(2, 20, 26, 38)], [4]))  # 18 of 20 rows of the large one
    result = row.result()
    assert result["shown"] == pytest.approx(1 / 3)
    assert result["mean_iou"] == pytest.approx(0.9)
    assert result["interval"] is None
    row.add(record(), detections([], [])._replace(masks=np.zeros((0, *HW), bool)))
    assert row.result()["shown"] == pytest.approx(1 / 6)


def test_the_interval_narrows_with_more_photographs():
    rng = np.random.default_rng(1)
    values = rng.random(400)
    wide, narrow = bootstrap(values[:25]), bootstrap(values)
    assert narrow[0] < values.mean() < narrow[1]
    expected = 2 * 1.96 * values.std() / np.sqrt(400)  # of the normal distribution
    assert narrow[1] - narrow[0] == pytest.approx(expected, rel=0.1)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_given_boxes_are_ranked_in_their_slots():
    _, model, variables = small_network()
    batch = made_up_batch(objects=3, slots=4)
    batch = batch.replace(valid=batch.valid.at[1].set(False))
    found = jax.jit(TrueBoxes(model))(variables, batch)
    np.testing.assert_array_equal(found.boxes.valid, [[True] * 3 + [False], [False] * 4])
    np.testing.assert_array_equal(found.boxes.xyxy[0, :3], batch.gt.boxes.xyxy[0, :3])
    ranks = np.asarray(found.rank_class)
    assert sorted(ranks[0, :3]) == [2, 3, 4]
    assert (ranks[0, 3:] < 0).all()
    assert (ranks[1] < 0).all()


def test_the_report_of_a_folder(tmp_path, capsys):
    """Its row of the model is what an evaluation of that model says."""
    for split in ("train", "val", "test"):
        assr_tree.write_split(tmp_path / "files", split)
    config, _, variables = small_network()
    config = config.copy_and_resolve_references()
    config.data.update(
        name="assr", root=str(tmp_path / "files"), cache_dir=str(tmp_path), canvas_hw=(64, 96)
    )
    config.eval.batch_size = 2
    save_variables(tmp_path / "weights", variables)
    data = {"made up": f"{tmp_path / 'files'}:val,test"}
    models = {"small": str(tmp_path / "weights")}
    write_report(config, models, data, ["rank_order"], tmp_path / "out")

    results = json.loads((tmp_path / "out" / "results.json").read_text())["made up"]
    assert len(results) == 3 + 1 + 4  # rules, untrained, the model with less and less to do
    assert results["true masks, larger first"]["mask_ap50"] == pytest.approx(1.0)
    assert results["small, true boxes and masks"]["shown"] == 1.0
    assert results["untrained"]["objects_matched"] == 0
    alone = evaluate_variables(config, variables, split="val", out_dir=tmp_path / "alone")
    assert 2 * alone["objects"] == results["small"]["objects"]
    assert alone["box_ap50"] is not None
    for name in ("sor", "sor_multi", "mae", "sa_sor"):
        assert results["small"][name] == pytest.approx(alone[name])
    assert (tmp_path / "out" / "report.md").read_text().strip() in capsys.readouterr().out
    assert (tmp_path / "out" / "made_up" / "small" / "worst.png").is_file()
