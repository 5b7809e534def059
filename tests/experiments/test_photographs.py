"""The report on photographs: rules, help, intervals, and whose ranks teach what."""

import json

import jax
import numpy as np
import pytest

from experiments.photographs import folds, kinds, ways
from experiments.photographs.report import write_report
from experiments.photographs.scores import Row, bootstrap, markdown
from experiments.tables.branches import Schedule
from experiments.tables.regions import Regions, Scene
from sor_jax.checkpoints.weights import save_variables
from sor_jax.evaluation.checkpoint import evaluate_variables
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction
from tests.datasets import assr_tree
from tests.inputs.fakes import made_up_record
from tests.pictures import encode, mask_of
from tests.small import made_up_batch, small_network

HW = (40, 60)
# x0 y0 x1 y1 and rank value, in the file's order: small at a corner, large, in the middle.
OBJECTS = [((0, 0, 6, 6), 0.8), ((2, 20, 26, 40), 1.0), ((26, 14, 36, 26), 0.9)]


def record(values=tuple(value for _, value in OBJECTS)):
    return made_up_record(hw=HW, boxes=[box for box, _ in OBJECTS], values=values)


def detections(boxes, ranks):
    masks = np.array([mask_of(box, HW) for box in boxes], bool).reshape(-1, *HW)
    encoded = [encode(mask) for mask in masks]
    ones, index = np.ones(len(boxes)), np.arange(len(boxes))
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Prediction(boxes, ones, ones, encoded, index, masks, np.array(ranks, int))


def classes(prediction):
    """Rank class of every object that has one, by index."""
    return dict(zip(prediction.ranked.tolist(), prediction.rank_class.tolist(), strict=True))


def test_rules_order_the_true_masks():
    truth = truth_of(record())
    assert classes(ways.in_order(truth, ways.larger_first(truth))) == {1: 4, 2: 3, 0: 2}
    assert classes(ways.in_order(truth, ways.nearest_the_centre(truth))) == {2: 4, 1: 3, 0: 2}
    drawn = {tuple(classes(ways.in_order(truth, ways.at_random(s)(truth)))) for s in range(40)}
    assert len(drawn) == 6
    six = truth._replace(masks=np.concatenate([truth.masks, truth.masks]))
    order = ways.in_order(six, np.array([6.0, 5, 4, 3, 2, 1]))
    assert classes(order) == {0: 4, 1: 3, 2: 2, 3: 1, 4: 0}  # a sixth object gets no rank


def test_true_masks_take_the_order_given_to_the_boxes():
    """Boxes come most salient first: objects 1, 2, 0 of the file."""
    truth = truth_of(record())
    given = ways.true_masks(np.array([2, 3, 4]), record(), truth)
    assert classes(given) == {1: 2, 2: 3, 0: 4}
    for index, mask in zip(given.ranked, given.masks, strict=True):
        np.testing.assert_array_equal(mask, truth.masks[index])
    assert classes(ways.true_masks(np.array([4, -1, 3]), record(), truth)) == {1: 4, 0: 3}


def test_true_order_drops_what_shows_no_object():
    found = detections([(40, 0, 60, 10), (26, 14, 36, 25), (2, 22, 26, 40)], [4, 3, 2])
    helped = ways.true_order(found, truth_of(record()))
    assert classes(helped) == {2: 4, 1: 3}
    np.testing.assert_array_equal(helped.masks, found.masks[[2, 1]])


@pytest.mark.parametrize(("ranks", "sor"), [([2, 4, 3], 1.0), ([4, 2, 3], 0.0)])
def test_a_row_tells_order_and_masks_apart(ranks, sor):
    row = Row(keep=True)
    row.add(record(), detections([box for box, _ in OBJECTS], ranks), truth_of(record()))
    result = row.result()
    assert result["sor_multi"] == pytest.approx(sor)
    assert (result["matched"], result["shown"], result["mean_iou"]) == (1.0, 1.0, 1.0)
    assert result["interval"] == pytest.approx([sor, sor])
    assert row.examples[0][0].image_id == "made_up_0"
    line = markdown({"model": result}).splitlines()[-1]
    assert line.startswith(f"| model | {sor:.3f} | {sor:.2f} to {sor:.2f} | 1 | 100 % |")


def test_a_row_counts_what_is_not_shown():
    row = Row()
    # 18 of 20 rows of the large one
    row.add(record(), detections([(2, 20, 26, 38)], [4]), truth_of(record()))
    result = row.result()
    assert result["shown"] == pytest.approx(1 / 3)
    assert result["mean_iou"] == pytest.approx(0.9)
    assert result["interval"] is None
    row.add(record(), detections([], []), truth_of(record()))
    assert row.result()["shown"] == pytest.approx(1 / 6)


def test_the_interval_narrows_with_more_photographs():
    values = np.random.default_rng(1).random(400)
    wide, narrow = bootstrap(values[:25]), bootstrap(values)
    assert narrow[0] < values.mean() < narrow[1]
    expected = 2 * 1.96 * values.std() / np.sqrt(400)  # of the normal distribution
    assert narrow[1] - narrow[0] == pytest.approx(expected, rel=0.1)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_given_boxes_are_ranked_in_their_slots():
    _, model, variables = small_network()
    batch = made_up_batch(objects=3, slots=4)
    batch = batch.replace(valid=batch.valid.at[1].set(False))
    found = jax.jit(ways.TrueBoxes(model))(variables, batch)
    np.testing.assert_array_equal(found.boxes.valid, [[True] * 3 + [False], [False] * 4])
    np.testing.assert_array_equal(found.boxes.xyxy[0, :3], batch.gt.boxes.xyxy[0, :3])
    ranks = np.asarray(found.rank_class)
    assert sorted(ranks[0, :3]) == [2, 3, 4]
    assert (ranks[0, 3:] < 0).all() and (ranks[1] < 0).all()


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


class Detector:
    """Its branches say which kind of ranks and seed they were trained with."""

    def __init__(self, kind, values):
        self.kind, self.values = kind, values

    def found(self):
        return None, [Scene(truth_of(record(self.values)), None)]

    def branch(self, row_config, name, seed):
        assert (row_config, name) == ("config", "ppa")
        return self.score(row_config, self.params(name, seed))

    def params(self, name, seed):
        return self.kind, seed

    def score(self, row_config, params):
        kind, seed = params
        rho = 1.0 - seed / 10 if kind == self.kind else 0.0
        return {"summary": {"sor_multi": (rho + 1) / 2, "sa_sor": rho}, "rho": [rho, None]}


def test_branches_and_people_are_scored_on_all_kinds_of_ranks():
    detectors = {
        "votes": Detector("votes", (1.0, 0.9, 0.8)),
        "looks": Detector("looks", (0.9, 1.0, 0.8)),
    }
    results = kinds.compare(detectors, "config", 2)
    sor = {
        a: {b: [r["summary"]["sor_multi"] for r in results[a][b]] for b in results} for a in results
    }
    assert sor == {
        "votes": {"votes": [1.0, 0.95], "looks": [0.5, 0.5]},
        "looks": {"votes": [0.5, 0.5], "looks": [1.0, 0.95]},
    }
    own = kinds.people(detectors)
    # Of three objects two neighbours in rank change places: rho = 1 - 6 * 2 / (3 * 8) = .5.
    assert own["votes"]["votes"]["sor_multi"] == pytest.approx(1.0)
    assert own["votes"]["looks"]["sor_multi"] == pytest.approx(0.75)
    text = kinds.markdown(results, own)
    votes = next(line for line in text.splitlines() if line.startswith("| trained on votes"))
    cells = [cell.strip() for cell in votes.strip("|").split("|")]
    assert cells[1:5] == ["0.975 ± 0.035", "0.950 ± 0.071", "", "0.500 ± 0.000"]
    # Seeds of 1 and .9 against 0: halved because SOR moves rho to 0..1.
    assert cells[6].startswith("-0.475 [-0.500, -0.450")


def test_five_fold_scores_every_photograph_by_branches_that_never_saw_it(monkeypatch):
    """Regions hold the photograph's number; what was learnt is what the branch's score tells."""
    number = np.arange(12)[:, None]
    own, extra = (Regions(*[x] * 6) for x in (number, 100 + number[:3]))
    learnt = []

    def train(head, regions, schedule, *, seed):
        learnt.append(set(regions.valid.ravel().tolist()))
        return learnt[-1]

    def score(head, params, regions, scenes, *, rank_rule):
        assert regions.valid.ravel().tolist() == scenes
        assert not params & set(scenes)
        return [{"matched": 2, "rho": scene / 100, "sa_sor": 0.5} for scene in scenes]

    monkeypatch.setattr(folds, "train_branch", train)
    monkeypatch.setattr(folds, "score_branch", score)
    scored = (own, list(range(12)))
    images = folds.folds(small_network()[0], own, [extra], scored, schedule=Schedule(), seed=0)
    for rule in folds.RULES:
        assert [2 * each["sor_multi"] - 1 for each in images[rule]] == pytest.approx(
            [scene / 100 for scene in range(12)]
        )
    assert len(learnt) == 5 and {len(each) for each in learnt} == {9 + 3}


def test_five_fold_tells_differences_to_the_first_row():
    def seeds(values):
        return [[{"sor_multi": value, "sa_sor": None} for value in values]] * 2

    text = folds.markdown(
        {"a": {"expected": seeds([0.5, None, 0.7])}, "b": {"expected": seeds([0.6, 0.9, 0.8])}}
    )
    first, second = (line.split("|")[3:] for line in text.splitlines()[2:])
    assert "0.600" in first[0] and first[1].strip() == "" and first[2].strip() == "--"
    assert "+0.100 [+0.100, +0.100]" in second[1]
