"""Where the original slips: its configs do the same, the default does better.

More of them beside the parts that they show in: ranks left free (test_decode), regions cut to whole
pixels (test_targets), images of a batch mixed up (test_model), grey levels (test_rank_maps).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from sor_jax.models.ranking import RankingHead
from sor_jax.ops.boxes import clip
from tests.parity import golden, network, recipe

pytestmark = pytest.mark.xdist_group("whole models")  # one compile of each, one in memory
HEIGHT, WIDTH = network.HW


def off_center(pos, xyxy):
    """By how many pixels pooled coordinates f32[R, 2, 14, 14] miss the bins' centres, at most."""
    share = (np.arange(14) + 0.5) / 14
    y = xyxy[:, 1:2] + share * (xyxy[:, 3:] - xyxy[:, 1:2])
    x = xyxy[:, :1] + share * (xyxy[:, 2:3] - xyxy[:, :1])
    miss = np.abs(pos[:, 0] * HEIGHT - y[:, :, None]), np.abs(pos[:, 1] * WIDTH - x[:, None])
    return np.max(miss, axis=(0, 2, 3))


@pytest.mark.parametrize("case", golden.cases("d_fixed_boxes", whole=["pos"]))
def test_boxes_that_stick_out_tell_a_wrong_position(case):
    """Boxes are pooled as they are there, and cut to the photograph by default."""
    if network.is_rcnn(case.model):
        pytest.skip("it cuts boxes before it pools them")
    assert not base.get_config().reference.unclipped_boxes
    assert golden.config(case.model).reference.unclipped_boxes
    boxes = recipe.FIXED_BOXES
    clipped = np.asarray(clip(jnp.asarray(boxes), network.IMAGE_HW[0]))
    out = (clipped != boxes).any(axis=1)
    assert out.any()
    half_cell = 16  # of the coarsest level: nearer to the border a position is that of a cell
    assert (off_center(case.arrays()["pos"], boxes)[out] > half_cell).all()
    ours = network.head_outputs(case.model, case.seed, clipped)["pos"]
    assert (off_center(ours, clipped) <= half_cell).all()


@pytest.mark.parametrize("case", golden.cases("d_fixed_boxes", whole=["sor.logits"]))
def test_the_height_is_none(case):
    """(Cx, Cy, w, h): with the true height the original's numbers are not met."""
    if golden.config(case.model).model.ranking.position != "box":
        pytest.skip("the model knows no height")
    options = {"slipped_height": False}
    ours = network.head_outputs(case.model, case.seed, recipe.FIXED_BOXES, **options)
    assert case.max_error("sor.logits", ours["sor.logits"]) > 1e-2


def test_height_and_slip_by_hand():
    xyxy = jnp.array([[[64.0, 48.0, 192.0, 144.0]]])
    inputs = jnp.zeros((1, 1, 14, 14, 6)), jnp.zeros((1, 1, 28, 28)), xyxy, network.IMAGE_HW
    for slipped, last in ((False, 0.2), (True, 0.4)):
        head = RankingHead("box", channels=4, depth=2, hidden=(4, 4), slipped_height=slipped)
        tokens, _ = head.init_with_output(jax.random.key(0), *inputs, method="tokens")
        np.testing.assert_allclose(tokens[0, 0, -4:], [0.2, 0.2, 0.2, last], rtol=1e-6)


def test_a_centre_outside_the_photograph_is_in_the_nearest_cell():
    boxes = jnp.array([[[600.0, 0, 900, 60], [560, 0, 640, 60], [-90, 500, 50, 900]]])
    inputs = jnp.zeros((1, 3, 14, 14, 6)), jnp.zeros((1, 3, 28, 28)), boxes, network.IMAGE_HW
    head = RankingHead("grid", channels=4, depth=2, hidden=(4, 4), center_grid=4)
    tokens, variables = head.init_with_output(jax.random.key(0), *inputs, method="tokens")
    table = variables["params"]["center_embedding"]
    features = tokens[0, 1] - table[12]  # column 3, row 0
    np.testing.assert_allclose(tokens[0], table[jnp.array([12, 12, 3])] + features, atol=1e-6)


@pytest.mark.parametrize(
    "case", golden.cases("f_train_fixed_proposals", whole=["sor_mask_in_stats_src", "mask_logits"])
)
def test_mask_rcnn_shows_its_ranking_head_logits_in_training(case):
    """And probabilities at inference; by default it is probabilities in both."""
    shown, logit = case.arrays()["sor_mask_in_stats_src"], case.arrays()["mask_logits"]
    raw = network.is_rcnn(case.model)
    np.testing.assert_allclose(shown, logit if raw else 1 / (1 + np.exp(-logit)), atol=1e-6)
    assert golden.config(case.model).reference.raw_mask == raw
    assert not base.get_config().reference.raw_mask


@pytest.mark.parametrize(
    "case", golden.cases("f_train_fixed_proposals", whole=["grad_l2_of.sor_loss"])
)
def test_rank_and_mask_iou_losses_reach_the_mask_head(case):
    """There; test_training meets the sum of the gradients, and by default nothing flows."""
    stored = case.arrays()
    names = stored["param_names"].tolist()
    at = [i for i, name in enumerate(names) if "mask_head.mask_fcn" in name]
    assert at
    for loss in ("sor_loss",) if network.is_rcnn(case.model) else ("sor_loss", "loss_maskiou"):
        assert (stored[f"grad_l2_of.{loss}"][at] > 0).all()
    assert golden.config(case.model).reference.mask_gradient
    assert not base.get_config().reference.mask_gradient
