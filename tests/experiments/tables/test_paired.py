"""Paired differences: means, and intervals that behave as intervals do."""

import numpy as np
import pytest

from experiments.tables.paired import paired_difference


def test_the_mean_is_over_scenes_that_all_runs_define():
    ours = np.array([[1.0, 0.5, np.nan], [0.0, 0.5, 1.0]])
    theirs = np.array([[0.0, 0.0, 0.0]])
    assert paired_difference(ours, theirs)[0] == pytest.approx(0.5)
    assert paired_difference(ours[:, 2:], theirs[:, 2:]) is None


def test_noise_that_both_sides_share_does_not_widen_the_interval():
    rng = np.random.default_rng(0)
    hardness = rng.normal(0, 1, 500)
    ours = hardness + 0.1 + rng.normal(0, 0.05, (5, 500))
    theirs = hardness + rng.normal(0, 0.05, (5, 500))
    mean, low, high = paired_difference(ours, theirs)
    assert low < mean < high and mean == pytest.approx(0.1, abs=0.01)
    assert high - low < 0.02  # unpaired it would be about 0.25
    assert low > 0


def test_seeds_that_differ_widen_it():
    """Two seeds far apart: scenes alone would make the interval a point."""
    ours, theirs = np.zeros((2, 400)), np.zeros((2, 400))
    ours[1] += 1.0
    mean, low, high = paired_difference(ours, theirs)
    assert (mean, low, high) == pytest.approx((0.5, 0.0, 1.0))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(40):
        ours, theirs = rng.normal(0.3, 1, (4, 60)), rng.normal(0, 1, (4, 60))
        _, low, high = paired_difference(ours, theirs, seed=trial)
        hits += low <= 0.3 <= high
    assert hits >= 34
