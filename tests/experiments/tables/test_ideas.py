"""The paper's two ideas on branches that see nothing but their regions' pixels.

Features of a detector tell a branch much of where its region lies, and what is around it; pixels
cut out of a picture do not, so here each idea has to show what it is for.
"""

import numpy as np
import pytest
from scipy.stats import rankdata

from experiments.tables.branches import Schedule, train_branch
from experiments.tables.checks import run_checks
from sor_jax.metrics.sor import pearson
from tests.experiments.tables.pixels import HW, expected_class, head, pixel_regions, scenes

pytestmark = pytest.mark.slow


def trained(**fields):
    branch = head(**fields)
    return branch, train_branch(branch, scenes("train", 2000), Schedule(epochs=20), seed=0)


def order(**fields):
    """SOR of the order of 400 unseen scenes, true boxes given."""
    regions = scenes("test", 400)
    found = expected_class(*trained(**fields), regions)
    rho = [
        pearson(rankdata(scores[valid]), rankdata(ranks[valid]))
        for scores, ranks, valid in zip(found, regions.rank_class, regions.valid, strict=True)
    ]
    return (np.mean(rho) + 1) / 2


def test_position_and_interaction_each_help_and_together_most():
    baseline = order(position="none", interaction=False)
    position = order(interaction=False)
    attention = order(position="none")
    both = order()
    print(f"{baseline=:.4f} {position=:.4f} {attention=:.4f} {both=:.4f}")
    assert position > baseline + 0.02
    assert both > position and both > attention + 0.02


def test_a_branch_minds_centre_size_and_rivals():
    branch, params = trained()

    def scores_of(variants):
        regions = pixel_regions([v.image for v in variants], [v.boxes for v in variants])
        return list(expected_class(branch, params, regions))

    results = run_checks(scores_of, image_hw=HW, scenes=60)
    print(results)
    for name, result in results.items():
        assert result["low"] > 0 and result["share"] > 0.6, (name, result)
    assert results["neighbour removed"]["rise"] > results["neighbour removed"]["rise_of_stranger"]
