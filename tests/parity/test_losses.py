"""The original's losses, from its own raw outputs."""

import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.losses import dense, masks, ranking
from sor_jax.losses.reduce import ratio
from sor_jax.targets.fcos import fcos_targets
from tests.parity import golden, raw

# The originals are float32, so are ours.
RTOL = 2e-6


@pytest.mark.parametrize(
    "case", golden.cases("b_fcos_raw", whole=raw.RAW, beside="f_train_fixed_proposals")
)
def test_dense_losses(case):
    outputs = raw.dense_outputs(case)
    training = case.sibling("f_train_fixed_proposals")
    target = fcos_targets(raw.ground_truth(training).boxes, raw.POINTS)
    positive, everywhere = target.positive, jnp.ones_like(target.positive)
    focal = dense.focal_loss(outputs.class_logit, positive, everywhere)
    box = dense.box_loss(outputs.ltrb, target.ltrb, target.centerness, positive)
    center = dense.centerness_loss(outputs.centerness_logit, target.centerness, positive)
    expected = training.losses()
    np.testing.assert_allclose(ratio(focal), expected["fcos_class"], rtol=RTOL)
    np.testing.assert_allclose(ratio(box), expected["fcos_box"], rtol=RTOL)
    np.testing.assert_allclose(ratio(center), expected["fcos_centerness"], rtol=RTOL)


REGIONS = [
    case
    for part in ("f_train_fixed_proposals", "f_train_own_proposals")
    for case in golden.cases(part, whole=["mask_logits", "sor_logits"], any_model=True)
]


@pytest.mark.parametrize("case", REGIONS)
def test_region_losses(case):
    train, expected = case.arrays(), case.losses()
    logit = train["mask_logits"][:, 0]
    cells = raw.bits(train["mask_targets_packed"], logit.shape[1:])
    everywhere = jnp.ones(len(logit), bool)
    mask = masks.mask_loss(logit, cells, everywhere)
    np.testing.assert_allclose(ratio(mask), expected["mask"], rtol=RTOL)
    rank = ranking.rank_loss(train["sor_logits"], train["fg.gt_ranks"], everywhere)
    np.testing.assert_allclose(ratio(rank), expected["rank"], rtol=RTOL)
    if "mask_iou" in expected:  # Mask R-CNN has no such head
        iou = train["maskiou_pred"][:, 0], train["maskiou_targets"]
        error = masks.mask_iou_loss(*iou, everywhere)
        np.testing.assert_allclose(ratio(error), expected["mask_iou"], rtol=RTOL)
