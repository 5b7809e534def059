"""Mask and mask IoU targets against RoIAlign of the bitmap and against counting pixels."""

import jax.numpy as jnp
import numpy as np

from sor_jax.ops.roi_align import roi_align
from sor_jax.targets.masks import mask_iou_targets, mask_targets

HW = (64, 96)
BOXES = np.array(
    [[3.2, 5.1, 60.7, 40.9], [0, 0, 96, 64], [10, 12, 14, 20], [-8, -6, 30, 20], [9, 9, 9, 9]],
    np.float32,
)


def discs():
    y, x = np.mgrid[: HW[0], : HW[1]] + 0.5
    return np.stack([(x - 30) ** 2 + (y - 20) ** 2 < 300, (x - 70) ** 2 / 4 + (y - 40) ** 2 < 200])


def test_crops_are_roi_align_of_the_bitmap():
    masks = discs().astype(np.uint8)
    index = np.array([0, 1, 0, 0, 1])
    hw = jnp.array(HW)
    crops, _ = mask_targets(jnp.asarray(masks), BOXES, index, hw)
    feature = [jnp.moveaxis(jnp.asarray(masks, jnp.float32), 0, -1)[None]]
    level = jnp.zeros((1, len(BOXES)), jnp.int32)
    pooled, _ = roi_align(feature, BOXES[None], level, hw[None], strides=(1,), out=28, points=20)
    expected = np.asarray(pooled)[0, np.arange(len(BOXES)), ..., index] >= 0.5
    np.testing.assert_array_equal(crops, expected)
    assert crops[0].sum() > 100
    assert crops[4].sum() == 0


def test_share_counts_pixels_and_their_parts():
    masks = jnp.asarray(discs()[:1].astype(np.uint8))
    whole = masks.sum()
    boxes = np.array([[0, 0, 96, 64], [20, 10, 40, 30], [20, 10, 40.5, 30], [80, 50, 90, 60]])
    index = np.zeros(4, int)
    _, share = mask_targets(masks, boxes.astype(np.float32), index, jnp.array(HW))
    inner = masks[0, 10:30, 20:40].sum()
    half = masks[0, 10:30, 40].sum() / 2
    np.testing.assert_allclose(share, [1, inner / whole, (inner + half) / whole, 1e-10], rtol=1e-5)
    _, share = mask_targets(
        masks, boxes.astype(np.float32), index, jnp.array(HW), whole_pixels=True
    )
    np.testing.assert_allclose(share[2], inner / whole, rtol=1e-5)


def test_nothing_outside_the_photograph_counts():
    masks = discs().astype(np.uint8)
    padded = np.zeros((2, 96, 128), np.uint8)
    padded[:, : HW[0], : HW[1]] = masks
    index = np.array([0, 1, 0, 0, 1])
    for a, b in zip(
        mask_targets(jnp.asarray(masks), BOXES, index, jnp.array(HW)),
        mask_targets(jnp.asarray(padded), BOXES, index, jnp.array(HW)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_mask_iou_by_hand():
    logit = np.full((3, 28, 28), -1.0, np.float32)
    crop = np.zeros((3, 28, 28), np.float32)
    logit[0, :10, :10] = 1  # 100 cells, of which 50 hit; the object has 100 here, 200 in all
    crop[0, 5:15, :10] = 1
    logit[1, :4, :5] = 2  # nothing of the object is seen
    got = mask_iou_targets(jnp.asarray(logit), jnp.asarray(crop), jnp.array([0.5, 1e-10, 1.0]))
    np.testing.assert_allclose(got, [50 / (100 + 200 - 50), 0, 0], rtol=1e-6)
