"""Mask and mask IoU targets: polygons against pycocotools, bitmaps against RoIAlign."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sor_jax.ops.roi_align import roi_align
from sor_jax.structures import Boxes, GroundTruth, Polygons
from sor_jax.targets.masks import mask_iou_targets, mask_targets
from tests.polygons import coco_fill, made_up_parts, padded_edges, rle_parts, shoelace

HW = (64, 96)
BOXES = np.array(
    [[3.2, 5.1, 60.7, 40.9], [0, 0, 96, 64], [10, 12, 14, 20], [-8, -6, 30, 20], [9, 9, 9, 9]],
    np.float32,
)
INDEX = np.array([0, 1, 0, 0, 1])


def discs():
    y, x = np.mgrid[: HW[0], : HW[1]] + 0.5
    discs = (x - 30) ** 2 + (y - 20) ** 2 < 300, (x - 70) ** 2 / 4 + (y - 40) ** 2 < 200
    return np.stack(discs).astype(np.uint8)


def objects_of(masks, parts=None):
    """One image's ground truth from bitmaps and, where given, polygons."""
    count = len(masks)
    edges, part, valid = padded_edges(parts or [[]] * count, slots=48 if parts else 0)
    return GroundTruth(
        boxes=Boxes(jnp.zeros((count, 4)), jnp.ones(count, bool)),
        rank_class=jnp.zeros(count, jnp.int32),
        masks=jnp.asarray(masks),
        polygons=Polygons(jnp.asarray(edges), jnp.asarray(part), jnp.asarray(valid)),
    )


compiled = jax.jit(mask_targets, static_argnames="whole_pixels")


def targets_of(masks, xyxy, index, *, parts=None, **options):
    xyxy, index = jnp.asarray(xyxy, jnp.float32), jnp.asarray(index)
    return compiled(objects_of(masks, parts), xyxy, index, jnp.array(HW), **options)


@pytest.fixture(scope="module")
def outlined():
    """20 objects with polygons in the photograph, and 300 regions near them, as float64."""
    rng = np.random.default_rng(0)
    objects = [made_up_parts(rng, size=HW, kind="star", most_parts=2) for _ in range(20)]
    objects = [[np.clip(part, 0, HW[::-1]) for part in parts] for parts in objects]
    index = rng.integers(0, len(objects), 300)
    center = np.stack([np.concatenate(objects[i]).mean(axis=0) for i in index])
    reach = rng.uniform(0.03, 0.6, (300, 2)) * HW[::-1]
    boxes = np.concatenate([center - reach, center + reach], axis=1).astype(np.float32)
    return objects, index, boxes.astype(np.float64)


def moved_parts(parts, box, scale=(1.0, 1.0)):
    return [(part.astype(np.float64) - box[:2]) * scale for part in parts]


def test_a_region_has_the_same_bitmap_in_any_slot():
    alone = [targets_of(discs(), BOXES[i : i + 1], INDEX[i : i + 1]) for i in range(5)]
    empty = np.zeros(4, np.float32)
    for slots in ([4, 0, 1], [0, None, None, None, None, None, 3], [None] * 9, [3, 2, 1, 0, 4, 2]):
        boxes = np.stack([empty if i is None else BOXES[i] for i in slots])
        crops, share = targets_of(discs(), boxes, [0 if i is None else INDEX[i] for i in slots])
        for slot, i in enumerate(slots):
            if i is None:
                assert not crops[slot].any()
                continue
            np.testing.assert_array_equal(crops[slot], alone[i][0][0])
            np.testing.assert_allclose(share[slot], alone[i][1][0], rtol=1e-5)


def test_polygons_are_drawn_in_the_region(outlined):
    parts, index, boxes = outlined
    got, _ = targets_of(np.zeros((len(parts), *HW), np.uint8), boxes, index, parts=parts)
    want = [
        coco_fill(moved_parts(parts[i], box, 28 / np.maximum(box[2:] - box[:2], 0.1)), (28, 28))
        for i, box in zip(index, boxes, strict=True)
    ]
    assert 0.2 < np.mean(want) < 0.8
    # The vertices are moved and scaled in float32; few come to lie in another fifth of a cell.
    assert np.mean(got != np.stack(want)) < 1e-5


def test_share_of_polygons_in_whole_pixels(outlined):
    parts, index, boxes = outlined
    masks = np.zeros((len(parts), *HW), np.uint8)
    _, got = targets_of(masks, boxes, index, parts=parts, whole_pixels=True)
    for share, i, box in zip(got, index, boxes, strict=True):
        width, height = (int(side) for side in np.float32(box[2:]) - np.float32(box[:2]))
        pixels = coco_mask.area(rle_parts(moved_parts(parts[i], box), (height, width))).sum()
        want = np.clip(pixels / sum(map(shoelace, parts[i])), 1e-10, 1)
        np.testing.assert_allclose(share, want, rtol=1e-4, atol=1e-10)


def test_share_of_polygons_is_that_of_areas(outlined):
    parts, index, boxes = outlined
    masks = np.zeros((len(parts), *HW), np.uint8)
    _, got = targets_of(masks, boxes, index, parts=parts)
    _, pixels = targets_of(masks, boxes, index, parts=parts, whole_pixels=True)
    fine = 50
    for share, i, box in zip(got[:60], index, boxes, strict=False):
        height, width = (fine * (box[2:] - box[:2])).astype(int)[::-1].tolist()
        cells = coco_mask.area(rle_parts(moved_parts(parts[i], box, (fine, fine)), (height, width)))
        whole = sum(map(shoelace, parts[i]))
        np.testing.assert_allclose(share, min(cells.sum() / fine**2 / whole, 1), atol=2e-3)
    # What is cut off to whole pixels is missing there, mostly on the right and below.
    assert np.mean(pixels < got) > 0.6


def test_objects_without_edges_are_sampled_from_their_bitmaps():
    masks = discs()
    square = np.float32([[20, 10], [40, 10], [40, 30], [20, 30]])
    both, alone = (targets_of(masks, BOXES, INDEX, parts=parts) for parts in ([[square], []], None))
    drawn = INDEX == 0
    for got, want in zip(both, alone, strict=True):
        np.testing.assert_array_equal(got[~drawn], want[~drawn])
        assert not np.array_equal(got[drawn], want[drawn])
    np.testing.assert_allclose(both[1][0], 1, rtol=1e-5)  # the square is all inside


def test_crops_are_roi_align_of_the_bitmap():
    masks = discs()
    crops, _ = targets_of(masks, BOXES, INDEX)
    feature = [jnp.moveaxis(jnp.asarray(masks, jnp.float32), 0, -1)[None]]
    level = jnp.zeros((1, len(BOXES)), jnp.int32)
    hw = jnp.array([HW])
    pooled, _ = roi_align(feature, BOXES[None], level, hw, strides=(1,), out=28, points=20)
    expected = np.asarray(pooled)[0, np.arange(len(BOXES)), ..., INDEX] >= 0.5
    np.testing.assert_array_equal(crops, expected)
    assert crops[0].sum() > 100
    assert crops[4].sum() == 0


def test_share_of_bitmaps_counts_pixels_and_their_parts():
    masks = discs()[:1]
    whole = masks.sum()
    boxes = np.array([[0, 0, 96, 64], [20, 10, 40, 30], [20, 10, 40.5, 30], [80, 50, 90, 60]])
    index = np.zeros(4, int)
    _, share = targets_of(masks, boxes, index)
    inner = masks[0, 10:30, 20:40].sum()
    half = masks[0, 10:30, 40].sum() / 2
    np.testing.assert_allclose(share, [1, inner / whole, (inner + half) / whole, 1e-10], rtol=1e-5)
    _, share = targets_of(masks, boxes, index, whole_pixels=True)
    np.testing.assert_allclose(share[2], inner / whole, rtol=1e-5)


def test_nothing_outside_the_photograph_counts():
    masks = discs()
    padded = np.zeros((2, 96, 128), np.uint8)
    padded[:, : HW[0], : HW[1]] = masks
    pairs = zip(targets_of(masks, BOXES, INDEX), targets_of(padded, BOXES, INDEX), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_no_gradient_flows_back():
    square = np.float32([[20, 10], [40, 10], [40, 30], [20, 30]])
    gt = objects_of(discs()[:1], [[square]])

    def share_of(xyxy):
        return mask_targets(gt, xyxy, jnp.zeros(len(BOXES), int), jnp.array(HW))[1].sum()

    assert not np.any(jax.jit(jax.grad(share_of))(jnp.asarray(BOXES)))


def test_mask_iou_by_hand():
    logit = np.full((3, 28, 28), -1.0, np.float32)
    crop = np.zeros((3, 28, 28), np.float32)
    logit[0, :10, :10] = 1  # 100 cells, of which 50 hit; the object has 100 here, 200 in all
    crop[0, 5:15, :10] = 1
    logit[1, :4, :5] = 2  # nothing of the object is seen
    got = mask_iou_targets(jnp.asarray(logit), jnp.asarray(crop), jnp.array([0.5, 1e-10, 1.0]))
    np.testing.assert_allclose(got, [50 / (100 + 200 - 50), 0, 0], rtol=1e-6)


def test_mask_iou_of_nothing_with_nothing_is_zero():
    """An object of which a region has no cell, where no cell is predicted either."""
    logit, crops = jnp.full((2, 28, 28), -1.0), jnp.zeros((2, 28, 28))
    got = mask_iou_targets(logit, crops, jnp.array([1.0, 1e-10]))
    np.testing.assert_array_equal(got, [0, 0])
