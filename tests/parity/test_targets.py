"""The original's targets: points, FCOS, training regions, masks and their IoU."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sor_jax.datasets.masks import to_parts
from sor_jax.models import mask_rcnn
from sor_jax.ops import grid
from sor_jax.ops.anchors import anchors
from sor_jax.ops.box_coding import ANCHOR_WEIGHTS, decode
from sor_jax.structures import Boxes, Proposals
from sor_jax.targets.fcos import fcos_targets
from sor_jax.targets.masks import mask_iou_targets, mask_targets
from sor_jax.targets.rcnn import anchor_targets, region_targets
from sor_jax.targets.rois import select_rois
from tests.parity import golden, raw
from tests.polygons import rle_parts, shoelace

ANCHORS = anchors(raw.HW, mask_rcnn.STRIDES, mask_rcnn.ANCHOR_SIDES)


@pytest.mark.parametrize("case", golden.cases("b_fcos_raw", whole=["fcos.locations.p3"]))
def test_points(case):
    locations = [case.arrays()[f"fcos.locations.p{k}"] for k in raw.LEVELS]
    np.testing.assert_array_equal(raw.POINTS.xy, np.concatenate(locations))


@pytest.mark.parametrize(
    "case", golden.cases("f_train_fixed_proposals", whole=["fcos.pos_index", "fcos.labels"])
)
def test_fcos_targets(case):
    train = case.arrays()
    targets = fcos_targets(raw.ground_truth(case).boxes, raw.POINTS)
    where = train["fcos.pos_index"]
    np.testing.assert_array_equal(np.flatnonzero(targets.positive), where)
    np.testing.assert_array_equal(targets.positive, train["fcos.labels"] == 0)
    np.testing.assert_allclose(targets.ltrb[where], train["fcos.pos_reg_targets"], rtol=1e-6)


@pytest.mark.parametrize(
    "case", golden.cases("f_train_fixed_proposals", whole=["fg.boxes"], any_model=True)
)
def test_foreground_regions(case):
    train = case.arrays()
    xyxy = jnp.asarray(train["proposals.boxes"])
    given = Proposals(Boxes(xyxy, jnp.ones(len(xyxy), bool)), jnp.ones(len(xyxy)))
    rois = select_rois(given, raw.ground_truth(case).boxes, slots=105)
    count = int(rois.boxes.valid.sum())

    # The original keeps its own order: proposals first.
    got = np.column_stack([rois.boxes.xyxy[:count], rois.gt_index[:count]])
    expected = np.column_stack([train["fg.boxes"], train["fg.gt_index"]])
    np.testing.assert_array_equal(got[np.lexsort(got.T)], expected[np.lexsort(expected.T)])
    assert rois.num_left_out == 0


@pytest.mark.parametrize("case", golden.cases("b_rpn_raw"))
def test_anchors(case):
    start = 0
    for level, (rows, columns) in enumerate(grid.level_shapes(raw.HW, mask_rcnn.STRIDES)):
        end = start + 3 * rows * columns
        error = case.max_error(f"rpn.anchors.p{level + 2}", ANCHORS.xyxy[start:end])
        assert error <= 1e-4
        start = end
    assert start == len(ANCHORS.xyxy)


SAMPLES = [
    case
    for part in ("f_train_fixed_proposals", "f_train_own_proposals")
    for case in golden.cases(part, whole=["rpn.pos_index", "sampled.boxes"])
]


@pytest.mark.parametrize("case", SAMPLES)
def test_sampled_anchors(case):
    """The original's draw was replaced by the first ones."""
    stored, count = case.arrays(), len(ANCHORS.xyxy)
    draw = np.arange(count, dtype=np.float32)
    target = jax.jit(anchor_targets)(
        raw.ground_truth(case).boxes, ANCHORS.xyxy, np.ones(count, bool), draw
    )
    where = stored["rpn.pos_index"]
    np.testing.assert_array_equal(np.flatnonzero(target.positive), where)
    labels = np.where(target.positive, 1, np.where(target.sampled, 0, -1))
    assert case.max_error("rpn.labels", labels) == 0
    matched = decode(target.delta[where], ANCHORS.xyxy[where], ANCHOR_WEIGHTS)
    np.testing.assert_allclose(matched, stored["rpn.pos_matched_boxes"], atol=1e-3)


@pytest.mark.parametrize("case", SAMPLES)
def test_sampled_regions(case):
    stored, gt = case.arrays(), raw.ground_truth(case).boxes
    xyxy = jnp.asarray(stored["proposals.boxes"])
    given = Proposals(Boxes(xyxy, jnp.ones(len(xyxy), bool)), jnp.ones(len(xyxy)))
    target = jax.jit(region_targets)(given, gt, jnp.arange(len(xyxy) + len(gt.valid), dtype=float))
    count = len(stored["sampled.boxes"])
    assert target.boxes.valid.tolist() == [i < count for i in range(512)]
    np.testing.assert_array_equal(target.boxes.xyxy[:count], stored["sampled.boxes"])
    np.testing.assert_array_equal(target.foreground[:count], stored["sampled.cls"] == 0)
    first = len(stored["fg.gt_index"])
    np.testing.assert_array_equal(target.gt_index[:first], stored["fg.gt_index"])


def targets_of(case, **options):
    """(crop, share) of the original's foreground."""
    gt, train = raw.ground_truth(case), case.arrays()
    run = jax.jit(lambda *region: mask_targets(gt, *region, jnp.array(raw.HW), **options))
    return run(train["fg.boxes"], train["fg.gt_index"])


REGIONS = [
    case
    for part in ("f_train_fixed_proposals", "f_train_own_proposals")
    for case in golden.cases(part, whole=["mask_targets_packed"], any_model=True)
]


@pytest.mark.parametrize("case", REGIONS)
def test_mask_targets(case):
    """To the cell."""
    expected = raw.bits(case.arrays()["mask_targets_packed"], (28, 28))
    for whole_pixels in (True, False):
        np.testing.assert_array_equal(targets_of(case, whole_pixels=whole_pixels)[0], expected)


@pytest.mark.parametrize(
    "case", golden.cases("f_train_fixed_proposals", whole=["mask_logits", "maskiou_targets"])
)
def test_mask_iou_targets(case):
    train = case.arrays()
    expected, logit = train["maskiou_targets"], train["mask_logits"][:, 0]
    original, ours = (targets_of(case, whole_pixels=cut) for cut in (True, False))
    # Vertices are moved in float32: one on the border of two fifths of a pixel may change sides.
    np.testing.assert_allclose(mask_iou_targets(logit, *original), expected, rtol=0, atol=1e-5)

    # The default does not cut the sides of a region to whole pixels: its shares are the true ones.
    true = true_shares(case)
    assert np.abs(ours[1] - true).max() < 1e-3
    assert np.abs(original[1] - true).max() > 1e-2
    assert np.abs(mask_iou_targets(logit, *ours) - expected).max() > 1e-3


def true_shares(case, fine=40):
    """Of each region: how much of its object's area it holds, counted in small cells."""
    train, objects = case.arrays(), case.json("gt_objects")
    shares = []
    for box, index in zip(train["fg.boxes"].astype(np.float64), train["fg.gt_index"], strict=True):
        parts = to_parts(objects[index]["segmentation"])
        moved = [fine * (part - box[:2]) for part in parts]
        hw = (fine * (box[2:] - box[:2])).astype(int)[::-1].tolist()
        cells = coco_mask.area(rle_parts(moved, hw)).sum()
        shares.append(min(cells / fine**2 / sum(map(shoelace, parts)), 1))
    return np.array(shares)
