"""Branches trained on one kind of ranks and scored on another: who is judged by whom."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from experiments.photographs.kinds import compare, markdown, people
from experiments.tables.regions import Scene
from sor_jax.metrics.scoreboard import Truth
from sor_jax.metrics.sor import rank_map

HW = (20, 60)


def truth(ranks):
    """Three squares side by side, of these rank classes."""
    masks = np.zeros((3, *HW), bool)
    for index in range(3):
        masks[index, 5:15, 20 * index + 4 : 20 * index + 16] = True
    ranks = np.array(ranks)
    encoded = [coco_mask.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    return Truth(
        grey=rank_map(masks, ranks),
        xyxy=np.zeros((3, 4)),
        encoded=encoded,
        masks=masks,
        rank_order=(ranks + 6) / 10,
        rank_class=ranks,
    )


class Detector:
    """Its branches say which kind of ranks and seed they were trained with."""

    def __init__(self, kind, ranks):
        self.kind, self.ranks = kind, ranks

    def found(self):
        return None, [Scene(truth(self.ranks), None, None)]

    def branch(self, row_config, name, seed):
        assert (row_config, name) == ("config", "ppa")
        return self.score(row_config, self.params(name, seed))

    def params(self, name, seed):
        return self.kind, seed

    def score(self, row_config, params):
        kind, seed = params
        rho = 1.0 - seed / 10 if kind == self.kind else 0.0
        return {"summary": {"sor_multi": (rho + 1) / 2, "sa_sor": rho}, "rho": [rho, None]}


@pytest.fixture
def detectors():
    return {
        "votes": Detector("votes", [4, 3, 2]),
        "looks": Detector("looks", [3, 4, 2]),
    }


def test_every_branch_is_scored_on_all_kinds(detectors):
    results = compare(detectors, "config", 2)
    sor = {
        a: {b: [r["summary"]["sor_multi"] for r in results[a][b]] for b in results} for a in results
    }
    assert sor == {
        "votes": {"votes": [1.0, 0.95], "looks": [0.5, 0.5]},
        "looks": {"votes": [0.5, 0.5], "looks": [1.0, 0.95]},
    }


def test_peoples_own_orders_are_judged_too(detectors):
    own = people(detectors)
    # Of three objects two neighbours in rank change places: rho = 1 - 6 * 2 / (3 * 8) = .5.
    assert own["votes"]["votes"]["sor_multi"] == pytest.approx(1.0)
    assert own["votes"]["looks"]["sor_multi"] == pytest.approx(0.75)
    assert own["looks"]["votes"]["sor_multi"] == pytest.approx(0.75)


def test_the_table_tells_the_difference_to_those_trained_on_what_is_scored(detectors):
    text = markdown(compare(detectors, "config", 2), people(detectors))
    votes = next(line for line in text.splitlines() if line.startswith("| trained on votes"))
    cells = [cell.strip() for cell in votes.strip("|").split("|")]
    assert cells[1:5] == ["0.975 ± 0.035", "0.950 ± 0.071", "", "0.500 ± 0.000"]
    # Seeds of 1 and .9 against 0: halved because SOR moves rho to 0..1.
    assert cells[6].startswith("-0.475 [-0.500, -0.450")
