"""The original's network on made-up weights, layer by layer and as a whole: parts a to e."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.build import build_predict, rank_rule
from sor_jax.decode.paste import paste_mask
from sor_jax.detectors.predict import RANK_RULES
from sor_jax.ops.roi_align import assign_levels
from tests.parity import golden, network, recipe

pytestmark = pytest.mark.xdist_group("whole models")  # one compile of each, one in memory


def check(case, outputs, tolerances):
    """Every stored array that `tolerances` names, by the longest beginning of its name."""
    checked = 0
    for name in case.names():
        fitting = [start for start in tolerances if name.startswith(start)]
        if fitting:
            error = case.max_error(name, outputs[name])
            assert error <= tolerances[max(fitting, key=len)], f"{name}: {error}"
            checked += 1
    assert checked


@pytest.mark.parametrize("case", golden.cases("a_backbone_fpn"))
def test_backbone_and_pyramid(case):
    outputs = network.dense_outputs(case.model, case.seed)
    check(case, outputs, {"input": 1e-4, "backbone": 1e-4, "fpn": 1e-4})


@pytest.mark.parametrize("case", golden.cases("b_fcos_raw"))
def test_dense_detector(case):
    outputs = network.dense_outputs(case.model, case.seed)
    check(case, outputs, {f"fcos.{part}": 1e-4 for part in ("logits", "reg", "ctrness")})


@pytest.mark.parametrize("case", golden.cases("b_rpn_raw"))
def test_region_proposal_network(case):
    outputs = network.dense_outputs(case.model, case.seed)
    check(case, outputs, {f"rpn.{part}": 1e-4 for part in ("objectness", "anchor_deltas")})


@functools.lru_cache(maxsize=1)
def detections(model, seed):
    """What is found in the photograph when another one is in the same batch."""
    photo = network.batch(seed)
    other = photo.replace(image=photo.image[:, ::-1, ::-1] // 2)
    both = jax.tree.map(lambda *images: jnp.concatenate(images), photo, other)
    predict = jax.jit(build_predict(golden.config(model), network.build(model)))
    found = jax.device_get(predict(network.variables(model, seed), both))
    assert found.boxes.valid[1].any()
    assert found.finite.all()
    kept = found.boxes.valid[0]
    return jax.tree.map(lambda x: x[0][kept] if x.ndim > 1 else x[0], found)


@pytest.mark.parametrize("case", golden.cases("c_proposals", whole=["proposals.boxes"]))
def test_proposals(case):
    if network.is_rcnn(case.model):
        check_proposals_of_anchors(case)
        return
    found, expected = detections(case.model, case.seed), case.arrays()["proposals.boxes"]
    assert len(found.score) == len(expected)
    order = network.match(expected, found.boxes.xyxy)
    assert case.max_error("proposals.boxes", found.boxes.xyxy[order]) <= 1e-2
    assert case.max_error("proposals.scores", found.score[order]) <= 1e-5


def check_proposals_of_anchors(case):
    """A thousand: their logits lie so close that neighbours swap, and the last one may."""
    predictor = build_predict(golden.config(case.model), network.build(case.model))
    xyxy, logit = network.proposed(predictor, case.model, case.seed)
    stored = case.arrays()
    expected = stored["proposals.boxes"]
    assert len(xyxy) == len(expected)
    apart = np.abs(expected[:, None] - xyxy).max(axis=-1)
    nearest = apart.argmin(axis=1)
    same = apart.min(axis=1) <= 1e-2
    assert same.mean() >= 0.998
    assert len(set(nearest[same])) == same.sum()
    error = np.abs(logit[nearest] - stored["proposals.objectness_logits"])[same]
    assert error.max() <= 1e-4


@pytest.mark.parametrize(
    "case", golden.cases("c_proposals", whole=["proposals.boxes"], beside="e_inference")
)
def test_box_head(case):
    """On the original's own proposals."""
    if not network.is_rcnn(case.model):
        pytest.skip("the model has no such head")
    boxes = case.arrays()["proposals.boxes"]
    outputs = network.box_outputs(case.model, case.seed, boxes)
    tolerances = {"box.pooled": 1e-4, "box.head": 5e-4, "box.cls": 5e-4, "box.deltas": 5e-4}
    check(case.sibling("e_inference"), outputs, tolerances)


@pytest.mark.parametrize("case", golden.cases("e_inference"))
def test_whole_inference(case):
    """Numbers of the original alone with the image: in a batch of two it mixes up their ranks."""
    stored, found = case.arrays(), detections(case.model, case.seed)
    assert len(found.score) == len(stored["boxes"])
    order = network.match(stored["boxes"], found.boxes.xyxy)
    at = {
        "boxes": (found.boxes.xyxy, 1e-2),
        "scores": (found.score, 1e-5),
        "pred_masks28": (found.mask_prob[:, None], 5e-4),
        "mask_scores": (found.mask_score, 5e-4),
        "sor_logits": (found.rank_logit, 5e-4),
        "pred_ranks": (found.rank_class, 0),
    }
    if network.is_rcnn(case.model):
        del at["mask_scores"]
        # Scores of regions that lie elsewhere, if by less than the boxes may.
        at["scores"] = found.score, 5e-5
    for name, (ours, tolerance) in at.items():
        assert case.max_error(name, ours[order]) <= tolerance, name


@pytest.mark.parametrize("case", golden.cases("e_inference", whole=["pasted_masks_packed"]))
def test_masks_in_the_photograph(case):
    stored, found = case.arrays(), detections(case.model, case.seed)
    order = network.match(stored["boxes"], found.boxes.xyxy)
    height, width = network.HW
    boxes = np.clip(found.boxes.xyxy[order], 0, [width, height, width, height])
    assert case.max_error("pasted_boxes", boxes) <= 1e-2
    expected = np.unpackbits(stored["pasted_masks_packed"], axis=1).reshape(-1, *network.HW)
    for prob, box, mask in zip(found.mask_prob[order], boxes, expected, strict=True):
        ours = paste_mask(prob, box, network.HW)
        assert (ours == mask.astype(bool)).mean() >= 0.999


@pytest.mark.parametrize("case", golden.cases("d_fixed_boxes"))
def test_heads_on_fixed_boxes(case):
    stored, module = case.arrays(), network.build(case.model)
    level = assign_levels(
        recipe.FIXED_BOXES,
        network.IMAGE_HW[0],
        levels=module.roi_levels,
        rule=module.level_rule,
    )
    np.testing.assert_array_equal(level, stored["levels"])

    outputs = network.head_outputs(case.model, case.seed, recipe.FIXED_BOXES)
    outputs["mask_scores"] = stored["scores"] * outputs["maskiou.pred"][:, 0]
    # The original pools the position maps only where a head reads them.
    outputs["pooled"] = outputs["pooled"][:, : stored["pooled__shape"][1]]
    heads = dict.fromkeys(("sam", "mask", "sor", "softmax"), 5e-4)
    check(case, outputs, heads | {"pooled": 1e-4, "pos": 1e-4})
    np.testing.assert_array_equal(ranks(case, outputs["sor.logits"]), stored["pred_ranks"])


# Largest errors as shares of an array's standard deviation, which do not depend on how deep the
# model is; measured: .07 to .10 of the pyramid, .08 and .09, .07, .02 and .04.
BFLOAT16 = {"fpn": 0.15, "mask.logits": 0.15, "maskiou.pred": 0.15, "sor.logits": 0.1}


@pytest.mark.parametrize("case", golden.cases("d_fixed_boxes", beside="a_backbone_fpn"))
def test_bfloat16_ranks_the_same(case, record_property):
    outputs = network.head_outputs(case.model, case.seed, recipe.FIXED_BOXES, dtype="bfloat16")
    dense = network.dense_outputs(case.model, case.seed, dtype="bfloat16")
    pyramid = case.sibling("a_backbone_fpn")
    heads = [name for name in BFLOAT16 if name in case.names()]
    error = {name: case.max_error(name, outputs[name]) / case.spread(name) for name in heads}
    levels = [name for name in pyramid.names() if name.startswith("fpn")]
    error["fpn"] = max(pyramid.max_error(n, dense[n]) / pyramid.spread(n) for n in levels)
    for name, value in error.items():
        record_property(f"bfloat16 {name}", value)
        assert value <= BFLOAT16[name], f"{name}: {value}"
    np.testing.assert_array_equal(ranks(case, outputs["sor.logits"]), case.arrays()["pred_ranks"])
    if "pos" in case.names():
        assert case.max_error("pos", outputs["pos"]) <= 1e-4  # as in float32


def ranks(case, logits):
    rule = RANK_RULES[rank_rule(golden.config(case.model))]
    return rule(logits, np.ones(len(logits), bool))
