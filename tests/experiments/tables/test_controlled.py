"""Scenes that differ in one thing, and what is made of the scores of a model on them."""

import numpy as np

from experiments.tables.checks import run_checks
from experiments.tables.controlled import CHANGES, SCALES, enlarged, moved, without_neighbour

HW = (64, 80)


def drawn(change, count=4):
    return [change(np.random.default_rng([5, i]), HW) for i in range(count)]


def centre(variant):
    box = variant.boxes[variant.target]
    return (box[:2] + box[2:]) / 2


def test_a_moved_object_ends_in_the_middle_and_the_others_stay():
    for variants in drawn(moved):
        distance = [np.linalg.norm(centre(v) - np.array([40, 32])) for v in variants]
        assert all(np.diff(distance) < 0) and distance[-1] < 6
        assert {len(v.boxes) for v in variants} == {4}
        # Away from the objects the picture is the same.
        assert (variants[0].image[:4, :4] == variants[-1].image[:4, :4]).mean() > 0.9


def test_an_enlarged_object_grows_where_it_is():
    for variants in drawn(enlarged):
        sides = [np.prod(v.boxes[v.target, 2:] - v.boxes[v.target, :2]) for v in variants]
        assert all(np.diff(sides) > 0) and len(sides) == len(SCALES)


def test_a_removed_neighbour_is_the_only_change():
    for whole, alone, control in drawn(without_neighbour):
        assert [len(v.boxes) for v in (whole, alone, control)] == [5, 4, 4]
        assert [v.target for v in (whole, alone, control)] == [4, 3, 3]
        np.testing.assert_allclose(centre(whole), centre(alone), atol=1)
        x0, y0, x1, y1 = whole.boxes[3].astype(int)
        rival = np.zeros(HW, bool)
        rival[max(y0 - 8, 0) : y1 + 8, max(x0 - 8, 0) : x1 + 8] = True  # with its shadow
        assert (whole.image[~rival] == alone.image[~rival]).all()


def test_the_rule_itself_minds_all_three():
    for change in CHANGES.values():
        scores = [[variant.score for variant in variants] for variants in drawn(change, 8)]
        place = 1 if change is without_neighbour else -1
        assert np.mean([s[place] > s[0] for s in scores]) >= 0.8


def test_checks_of_a_model_that_knows_the_rule_and_of_one_that_knows_nothing():
    def by_rule(variants):
        return [np.where(np.arange(len(v.boxes)) == v.target, v.score, 0.0) for v in variants]

    def by_chance(variants):
        rng = np.random.default_rng(0)
        return [rng.normal(size=len(v.boxes)) for v in variants]

    for result in run_checks(by_rule, image_hw=HW, scenes=8).values():
        assert result["rise"] > 0 and result["share"] >= 0.8
    for result in run_checks(by_chance, image_hw=HW, scenes=8).values():
        assert result["low"] < 0 < result["high"]
