"""Decoding by the original from its own arrays: proposals, masks in the image, ranks."""

from functools import partial

import jax
import numpy as np
import pytest

from sor_jax.decode.dense import proposals
from sor_jax.decode.paste import paste_mask
from sor_jax.decode.ranks import assign_ranks, assign_ranks_reference
from tests.parity import golden, raw


def decoded(case, **options):
    """The valid boxes and scores that raw outputs decode to."""
    run = jax.jit(partial(proposals, points=raw.POINTS, **options))
    got = run(raw.dense_outputs(case))
    count = int(got.boxes.valid.sum())
    return got.boxes.xyxy[:count], got.score[:count]


@pytest.mark.parametrize(
    "case", golden.cases("b_fcos_raw", whole=raw.RAW, beside="c_proposals", any_model=True)
)
def test_proposals_at_inference(case):
    expected = case.sibling("c_proposals").arrays()
    xyxy, score = decoded(case, class_threshold=0.3, max_proposals=50)
    np.testing.assert_allclose(xyxy, expected["proposals.boxes"], atol=1e-4)
    np.testing.assert_allclose(score, expected["proposals.scores"], atol=1e-6)


@pytest.mark.parametrize(
    "case", golden.cases("b_fcos_raw", whole=raw.RAW, beside="f_train_own_proposals")
)
def test_proposals_in_training(case):
    stored = case.sibling("f_train_own_proposals").arrays()
    expected = np.column_stack([stored["proposals.boxes"], stored["proposals.scores"]])
    got = np.column_stack(decoded(case, class_threshold=0.05, max_proposals=100))
    assert len(got) == len(expected)
    # A second run of the network: its noise of 1e-5 may flip an overlap at the threshold.
    nearest = np.abs(expected[:, None] - got).max(axis=-1).min(axis=1)
    assert (nearest < 1e-3).mean() >= 0.95


@pytest.mark.parametrize(
    "case", golden.cases("e_inference", whole=["pred_masks28", "pasted_boxes"], any_model=True)
)
def test_pasted_masks(case):
    stored = case.arrays()
    expected = raw.bits(stored["pasted_masks_packed"], raw.HW)
    pairs = zip(stored["pred_masks28"][:, 0], stored["pasted_boxes"], strict=True)
    got = np.array([paste_mask(prob, box, raw.HW) for prob, box in pairs])
    # A probability within rounding of one half may fall to either side.
    assert (got != expected).mean() < 1e-6


@pytest.fixture(params=golden.files("rank_assign.npz"))
def rank_cases(request):
    """(archive, its number of cases, compiled rule -> ranks of a case)."""
    stored = np.load(request.param)
    count = sum(key.startswith("logits") for key in stored.files)
    assert count >= 36
    most = max(len(stored[f"logits{i}"]) for i in range(count))

    def run(rule, index, **options):
        logit = stored[f"logits{index}"]
        padded = np.pad(logit, [(0, most - len(logit)), (0, 0)], constant_values=np.nan)
        return np.asarray(rule(padded, np.arange(most) < len(logit), **options))[: len(logit)]

    return stored, count, run


@pytest.mark.parametrize(
    ("name", "threshold"), [("ranks_centermask_thr0.1", 0.1), ("ranks_maskrcnn_thr0", 0.0)]
)
def test_assigns_the_same_ranks(rank_cases, name, threshold):
    stored, count, run = rank_cases
    rule = jax.jit(assign_ranks_reference, static_argnames="threshold")
    for i in range(count):
        got = run(rule, i, threshold=threshold)
        np.testing.assert_array_equal(got, stored[f"{name}{i}"], err_msg=f"case {i}")


def test_the_original_leaves_ranks_free_where_the_paper_gives_all_of_them(rank_cases):
    stored, count, run = rank_cases
    rule, free = jax.jit(assign_ranks), 0
    for i in range(count):
        paper, original = run(rule, i), stored[f"ranks_centermask_thr0.1{i}"]
        highest = np.arange(4, 4 - min(len(paper), 5), -1)
        np.testing.assert_array_equal(np.sort(paper[paper >= 0])[::-1], highest)
        free += (original >= 0).sum() < len(highest)
    assert free > 0
