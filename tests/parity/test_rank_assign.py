"""The released code's assignment of ranks, both thresholds, ties included."""

import jax
import numpy as np
import pytest

from sor_jax.decode.ranks import assign_ranks_reference


@pytest.mark.parametrize(
    ("name", "threshold"), [("ranks_centermask_thr0.1", 0.1), ("ranks_maskrcnn_thr0", 0.0)]
)
def test_assigns_the_same_ranks(goldens, name, threshold):
    path = goldens / "rank_assign.npz"
    if not path.is_file():
        pytest.skip(f"{goldens} holds no {path.name}")
    cases = np.load(path)
    num_cases = sum(key.startswith("logits") for key in cases.files)
    assert num_cases >= 36
    rule = jax.jit(assign_ranks_reference, static_argnames="threshold")
    most = max(len(cases[f"logits{i}"]) for i in range(num_cases))
    for i in range(num_cases):
        logit = cases[f"logits{i}"]
        padded = np.pad(logit, [(0, most - len(logit)), (0, 0)], constant_values=np.nan)
        got = rule(padded, np.arange(most) < len(logit), threshold=threshold)
        np.testing.assert_array_equal(got[: len(logit)], cases[f"{name}{i}"], err_msg=f"case {i}")
