"""The released code's losses, from its own raw outputs."""

import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.losses import dense, masks, ranking
from sor_jax.losses.reduce import ratio
from sor_jax.targets.fcos import fcos_targets
from tests.parity import archives

# The originals are float32, so are ours.
RTOL = 2e-6


def expected_losses(train):
    losses = dict(zip(train["loss_names"].tolist(), train["loss_values"].tolist(), strict=True))
    return losses | {"loss_mask": losses.get("loss_mask", losses.get("mask_loss"))}


def test_dense_losses(goldens):
    targets = fcos_targets(archives.ground_truth(goldens), archives.POINTS)
    everywhere = jnp.ones_like(targets.positive)
    for _, raw, train in archives.pairs(goldens, "b_fcos_raw", "f_train_fixed_proposals"):
        outputs = archives.dense_outputs(raw)
        focal = dense.focal_loss(outputs.class_logit, targets.positive, everywhere)
        box = dense.box_loss(outputs.ltrb, targets.ltrb, targets.centerness, targets.positive)
        center = dense.centerness_loss(
            outputs.centerness_logit, targets.centerness, targets.positive
        )
        expected = expected_losses(train)
        np.testing.assert_allclose(ratio(focal), expected["loss_fcos_cls"], rtol=RTOL)
        np.testing.assert_allclose(ratio(box, at_least=1e-6), expected["loss_fcos_loc"], rtol=RTOL)
        np.testing.assert_allclose(ratio(center), expected["loss_fcos_ctr"], rtol=RTOL)


@pytest.mark.parametrize("part", ["f_train_fixed_proposals", "f_train_own_proposals"])
def test_region_losses(goldens, part):
    for train in archives.of_part(goldens, part, having="mask_logits").values():
        expected = expected_losses(train)
        logit = train["mask_logits"][:, 0]
        cells = np.unpackbits(train["mask_targets_packed"], axis=1)[:, : 28 * 28]
        everywhere = jnp.ones(len(logit), bool)

        mask = masks.mask_loss(logit, cells.reshape(logit.shape), everywhere)
        np.testing.assert_allclose(ratio(mask), expected["loss_mask"], rtol=RTOL)
        rank = ranking.rank_loss(train["sor_logits"], train["fg.gt_ranks"], everywhere)
        np.testing.assert_allclose(ratio(rank), expected["sor_loss"], rtol=RTOL)
        if "loss_maskiou" in expected:
            iou = train["maskiou_pred"][:, 0], train["maskiou_targets"]
            error = masks.mask_iou_loss(*iou, everywhere)
            np.testing.assert_allclose(ratio(error), expected["loss_maskiou"], rtol=RTOL)
