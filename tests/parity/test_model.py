"""The original's network, layer by layer, on made-up weights: parts a, b, c, d and e."""

import jax
import numpy as np
import pytest

from sor_jax.build import build_predict
from sor_jax.decode.ranks import assign_ranks_reference
from sor_jax.ops.roi_align import assign_levels
from tests.parity import golden, recipe


def check(case, outputs, tolerances):
    """Every stored array that `tolerances` names, by the longest beginning of its name."""
    checked = 0
    for name in sorted({key.split("__")[0] for key in case.arrays()}):
        fitting = [start for start in tolerances if name.startswith(start)]
        if fitting:
            error = case.max_error(name, outputs[name])
            assert error <= tolerances[max(fitting, key=len)], f"{name}: {error}"
            checked += 1
    assert checked


@pytest.mark.parametrize("case", golden.cases("a_backbone_fpn"))
def test_backbone_and_pyramid(case):
    outputs, _ = golden.dense_outputs(case.model, case.seed)
    check(case, outputs, {"input": 1e-4, "backbone": 1e-4, "fpn": 1e-4})


@pytest.mark.parametrize("case", golden.cases("b_fcos_raw"))
def test_dense_detector(case):
    outputs, _ = golden.dense_outputs(case.model, case.seed)
    check(case, outputs, {f"fcos.{part}": 1e-4 for part in ("logits", "reg", "ctrness")})


@pytest.mark.parametrize("case", golden.cases("d_fixed_boxes"))
def test_heads_on_fixed_boxes(case):
    stored = case.arrays()
    level = assign_levels(
        recipe.FIXED_BOXES, golden.IMAGE_HW[0], levels=(3, 4, 5), rule="area_ratio"
    )
    np.testing.assert_array_equal(level, stored["levels"])

    outputs = golden.head_outputs(case.model, case.seed, recipe.FIXED_BOXES)
    outputs["mask_scores"] = stored["scores"] * outputs["maskiou.pred"][:, 0]
    # The original pools the position maps only where a head reads them.
    outputs["pooled"] = outputs["pooled"][:, : stored["pooled__shape"][1]]
    heads = dict.fromkeys(("sam", "mask", "sor", "softmax"), 5e-4)
    check(case, outputs, heads | {"pooled": 1e-4, "pos": 1e-4})

    logits = outputs["sor.logits"]
    ranks = assign_ranks_reference(logits, np.ones(len(logits), bool))
    np.testing.assert_array_equal(ranks, stored["pred_ranks"])


@pytest.mark.parametrize("case", golden.cases("e_inference"))
def test_whole_inference(case):
    stored = case.arrays()
    module, variables = golden.network(case.model, case.seed)
    predict = jax.jit(build_predict(golden.config(case.model), module))
    found = jax.tree.map(lambda x: np.asarray(x)[0], predict(variables, golden.batch(case.seed)))
    assert found.boxes.valid.sum() == len(stored["boxes"])
    order = match(stored["boxes"], found.boxes)
    at = {
        "boxes": (found.boxes.xyxy, 1e-2),
        "scores": (found.score, 1e-5),
        "pred_masks28": (found.mask_prob[:, None], 5e-4),
        "mask_scores": (found.mask_score, 5e-4),
        "sor_logits": (found.rank_logit, 5e-4),
        "pred_ranks": (found.rank_class, 0),
    }
    for name, (ours, tolerance) in at.items():
        assert case.max_error(name, ours[order]) <= tolerance, name


def match(expected, boxes):
    """For each expected box the index of ours; neighbours in score may have swapped places."""
    distance = np.abs(expected[:, None] - boxes.xyxy[None]).max(axis=-1)
    distance[:, ~boxes.valid] = np.inf
    order = distance.argmin(axis=1)
    assert len(set(order)) == len(expected)
    return order
