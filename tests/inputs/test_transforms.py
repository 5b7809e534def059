"""Sizes by hand, boxes and masks against each other, nothing resampled without need."""

import numpy as np
import pytest
from PIL import Image

from sor_jax.inputs import transforms


@pytest.mark.parametrize(
    ("photo", "inside", "want"),
    [
        ((480, 640), (480, 640), (480, 640)),
        ((480, 640), (192, 256), (192, 256)),
        ((375, 500), (480, 640), (480, 640)),
        ((427, 640), (480, 640), (427, 640)),
        ((640, 480), (480, 640), (480, 360)),
        ((500, 333), (480, 640), (480, 320)),  # 319.68
        ((333, 500), (480, 640), (426, 640)),  # 426.24
        ((1, 3000), (480, 640), (1, 640)),  # 0.21
        ((128, 160), (128, 160), (128, 160)),
    ],
)
def test_fitted_size(photo, inside, want):
    assert transforms.fitted_hw(photo, inside) == want


def test_fitted_size_fills_one_side_and_keeps_the_aspect():
    rng = np.random.default_rng(0)
    for _ in range(200):
        photo, inside = rng.integers(40, 1500, 2), rng.integers(2, 30, 2) * 32
        hw = transforms.fitted_hw(tuple(photo), tuple(inside))
        assert hw[0] <= inside[0]
        assert hw[1] <= inside[1]
        assert hw[0] == inside[0] or hw[1] == inside[1]
        scale = min(inside / photo)
        assert np.abs(photo * scale - hw).max() <= 0.5 + 1e-9


def test_nothing_is_resampled_at_its_size():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    masks = np.random.default_rng(0).random((2, 20, 30)) < 0.5
    assert transforms.resize_image(image, (20, 30)) is image
    assert transforms.resize_masks(masks, (20, 30)) is masks


def test_image_halves_by_an_antialiased_filter():
    # A triangle of width 2 over output pixels: weights 1 3 3 1 over four input pixels.
    row = np.zeros((1, 16, 3), np.uint8)
    row[0, 6] = 240
    got = transforms.resize_image(row, (1, 8))[0, :, 0]
    np.testing.assert_array_equal(got, [0, 0, 30, 90, 0, 0, 0, 0])


@pytest.mark.parametrize("hw", [(12, 16), (48, 64), (33, 41)])
def test_resized_masks_agree_with_resized_boxes(hw):
    boxes = np.float32([[4, 4, 20, 16], [0, 8, 32, 24]])
    masks = np.zeros((2, 24, 32), bool)
    masks[0, 4:16, 4:20] = masks[1, 8:24] = True
    got = transforms.resize_masks(masks, hw)
    assert got.dtype == bool
    for mask, box in zip(got, transforms.resize_boxes(boxes, (24, 32), hw), strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        extent = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(extent, box, atol=0.51)


def test_mask_resize_keeps_the_area_of_a_blob():
    y, x = np.mgrid[:90, :120]
    disc = ((x - 60) / 40) ** 2 + ((y - 45) / 30) ** 2 < 1
    small = transforms.resize_masks(disc[None], (45, 60))[0]
    assert small.sum() * 4 == pytest.approx(disc.sum(), rel=0.01)
    # and is what Pillow's filter says of the grey picture
    grey = np.asarray(Image.fromarray(disc.astype(np.uint8) * 255).resize((60, 45), 2))
    np.testing.assert_array_equal(small, grey >= 128)


def test_boxes_are_scaled_and_clipped():
    boxes = np.float32([[-3, 2, 10, 30], [5, 5, 40, 18]])
    got = transforms.resize_boxes(boxes, (20, 30), (40, 45))
    np.testing.assert_allclose(got, [[0, 4, 15, 40], [7.5, 10, 45, 36]])
    assert got.dtype == np.float32
    assert transforms.resize_boxes(np.zeros((0, 4), np.float32), (20, 30), (40, 45)).shape == (0, 4)


def test_flipped_boxes():
    boxes = np.float32([[2, 3, 10, 8]])
    got = transforms.flip_boxes(boxes, 30)
    np.testing.assert_array_equal(got, [[20, 3, 28, 8]])
    np.testing.assert_array_equal(transforms.flip_boxes(got, 30), boxes)


def test_points_move_as_boxes_do():
    boxes = np.float32([[2, 3, 10, 8], [0, 5, 30, 18]])
    corners = boxes.reshape(-1, 2)
    resized = transforms.resize_points(corners, (20, 30), (40, 45))
    assert resized.dtype == np.float32
    want = transforms.resize_boxes(boxes, (20, 30), (40, 45))
    np.testing.assert_array_equal(resized.reshape(-1, 4), want)
    flipped = transforms.flip_points(corners, 30).reshape(-1, 4)
    np.testing.assert_array_equal(flipped[:, [2, 1, 0, 3]], transforms.flip_boxes(boxes, 30))
