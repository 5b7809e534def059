import jax
import numpy as np
import pytest

from configs import base
from sor_jax.config import notes
from sor_jax.train.optimizer import warmup_multistep

BASE = 1e-4


def naive(i, base=BASE, warmup=1000, factor=0.001, milestones=(42_000, 50_000)):
    rate = base
    if i < warmup:
        rate = base * (factor + (1 - factor) * i / warmup)
    for milestone in milestones:
        if i >= milestone:
            rate *= 0.1
    return rate


@pytest.mark.parametrize(
    "step, expected",
    [
        (0, 1e-7),
        (1, 1e-4 * (0.001 + 0.999 / 1000)),
        (500, 1e-4 * 0.5005),
        (999, 1e-4 * (0.001 + 0.999 * 0.999)),
        (1000, 1e-4),
        (41_999, 1e-4),
        (42_000, 1e-5),
        (49_999, 1e-5),
        (50_000, 1e-6),
        (53_999, 1e-6),
    ],
)
def test_corners_of_the_papers_schedule(step, expected):
    schedule = warmup_multistep(BASE)
    np.testing.assert_allclose(schedule(step), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(schedule)(np.int32(step)), expected, rtol=1e-5)


def test_every_step_of_a_short_schedule():
    schedule = warmup_multistep(
        0.2, warmup_steps=5, warmup_factor=0.25, milestones=(5, 8, 9), gamma=0.1
    )
    got = [float(schedule(i)) for i in range(12)]
    expected = [naive(i, 0.2, 5, 0.25, (5, 8, 9)) for i in range(12)]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_milestone_within_the_warmup_counts_when_it_ends():
    schedule = warmup_multistep(1.0, warmup_steps=4, warmup_factor=0.0, milestones=(2, 6))
    got = [float(schedule(i)) for i in range(8)]
    expected = [0, 0.25, 0.5, 0.75, 0.1, 0.1, 0.01, 0.01]
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_no_warmup_and_no_milestones_is_constant():
    schedule = warmup_multistep(0.3, warmup_steps=0, milestones=())
    np.testing.assert_allclose([schedule(0), schedule(10**6)], 0.3, rtol=1e-5)


@pytest.mark.parametrize(
    "steps, named",
    [(54_000, []), (50_000, ["milestones"]), (1001, ["milestones"]), (1000, ["warmup_steps"])],
)
def test_what_a_short_run_never_reaches_is_told(steps, named):
    config = base.get_config()
    config.train.steps, config.model.norm = steps, "group"
    told = list(notes(config))
    assert [name in line for name, line in zip(named, told, strict=True)] == [True] * len(named)
