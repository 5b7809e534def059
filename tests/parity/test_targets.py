"""Points, FCOS targets and training regions of the released code."""

import jax.numpy as jnp
import numpy as np

from sor_jax.structures import Boxes, Proposals
from sor_jax.targets.fcos import fcos_targets
from sor_jax.targets.rois import select_rois
from tests.parity import archives


def test_points(goldens):
    for raw in archives.of_part(goldens, "b_fcos_raw").values():
        locations = np.concatenate([raw[f"fcos.locations.p{k}"] for k in archives.LEVELS])
        np.testing.assert_array_equal(archives.POINTS.xy, locations)


def test_fcos_targets(goldens):
    targets = fcos_targets(archives.ground_truth(goldens), archives.POINTS)
    part = archives.of_part(goldens, "f_train_fixed_proposals", having="fcos.pos_index")
    for name, train in part.items():
        where = train["fcos.pos_index"]
        np.testing.assert_array_equal(np.flatnonzero(targets.positive), where, err_msg=name)
        np.testing.assert_array_equal(targets.positive, train["fcos.labels"] == 0, err_msg=name)
        np.testing.assert_allclose(
            targets.ltrb[where], train["fcos.pos_reg_targets"], rtol=1e-6, err_msg=name
        )


def test_foreground_regions(goldens):
    gt = archives.ground_truth(goldens)
    for name, train in archives.of_part(goldens, "f_train_fixed_proposals").items():
        xyxy = jnp.asarray(train["proposals.boxes"])
        given = Proposals(Boxes(xyxy, jnp.ones(len(xyxy), bool)), jnp.ones(len(xyxy)))
        rois = select_rois(given, gt, slots=105)
        count = int(rois.boxes.valid.sum())

        # The original keeps its own order: proposals first.
        got = np.column_stack([rois.boxes.xyxy[:count], rois.gt_index[:count]])
        expected = np.column_stack([train["fg.boxes"], train["fg.gt_index"]])
        np.testing.assert_array_equal(
            got[np.lexsort(got.T)], expected[np.lexsort(expected.T)], err_msg=name
        )
        assert rois.num_left_out == 0
