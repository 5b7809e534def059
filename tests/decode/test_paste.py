import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sor_jax.decode.paste import Crop, paste, paste_mask
from sor_jax.structures import Boxes, Detections


def loops(prob, xyxy, hw):
    """One pixel, one corner at a time, over the whole photograph."""
    side = len(prob)
    mask = np.zeros(hw, bool)
    x0, y0, x1, y1 = map(float, xyxy)
    for i in range(hw[0]):
        for j in range(hw[1]):
            v = side * (i + 0.5 - y0) / (y1 - y0) - 0.5
            u = side * (j + 0.5 - x0) / (x1 - x0) - 0.5
            value = 0.0
            for a in (int(np.floor(v)), int(np.floor(v)) + 1):
                for b in (int(np.floor(u)), int(np.floor(u)) + 1):
                    if 0 <= a < side and 0 <= b < side:
                        value += prob[a, b] * (1 - abs(v - a)) * (1 - abs(u - b))
            mask[i, j] = value >= 0.5
    return mask


BOXES = {
    "inside": (3.2, 5.7, 17.9, 21.3),
    "whole photograph": (0, 0, 31, 24),
    "at the lower right": (20.5, 10.25, 31, 24),
    "narrower than a pixel": (4.3, 2, 4.7, 20),
    "on pixel centres": (4.5, 2.5, 9.5, 20.5),
    "small": (6.1, 6.2, 7.9, 8.1),
}


@pytest.mark.parametrize("xyxy", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize("side", [28, 5])
def test_matches_loops(xyxy, side):
    prob = np.random.default_rng(0).random((side, side)).astype(np.float32)
    got = paste_mask(prob, np.array(xyxy, np.float32), (24, 31))
    np.testing.assert_array_equal(got, loops(prob, np.array(xyxy, np.float32), (24, 31)))


def test_a_sure_mask_fills_its_box_and_only_it():
    mask = paste_mask(np.ones((28, 28)), (20, 10, 60, 50), (64, 80))
    expected = np.zeros((64, 80), bool)
    expected[10:50, 20:60] = True
    np.testing.assert_array_equal(mask, expected)


def test_half_is_inside():
    assert paste_mask(np.full((28, 28), 0.5), (0, 0, 56, 56), (56, 56))[1:-1, 1:-1].all()
    assert not paste_mask(np.full((28, 28), 0.4999), (0, 0, 56, 56), (56, 56)).any()


@pytest.mark.parametrize("xyxy", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 9, 3, 3), (0, 0, 0, 0)])
def test_an_empty_box_gives_an_empty_mask(xyxy):
    mask = paste_mask(np.ones((28, 28)), xyxy, (12, 16))
    assert mask.shape == (12, 16)
    assert not mask.any()


CROPS = [
    (np.zeros((0, 0), bool), 0, 0),
    (np.zeros((3, 4), bool), 2, 1),
    (np.ones((8, 9), bool), 0, 0),
    (np.ones((8, 3), bool), 0, 2),  # runs go on from column to column
    (np.ones((2, 9), bool), 6, 0),
    (np.ones((1, 1), bool), 7, 8),
    (np.ones((1, 1), bool), 0, 0),
    *[(np.random.default_rng(seed).random((5, 6)) < 0.6, 3, 3) for seed in range(4)],
    *[(np.random.default_rng(seed).random((8, 9)) < 0.8, 0, 0) for seed in range(4)],
]


@pytest.mark.parametrize("crop", CROPS)
def test_a_crop_encodes_as_pycocotools_encodes_the_whole_mask(crop):
    crop = Crop(*crop)
    whole = np.zeros((8, 9), np.uint8, order="F")
    crop.write_into(whole)
    assert crop.encode((8, 9)) == coco_mask.encode(whole)


def one_image(**changes):
    """Two slots of one image in an input of 32x48; the second one is padding."""
    fields = {
        "boxes": Boxes(np.float32([[[4, 8, 24, 32], [np.nan] * 4]]), np.array([[True, False]])),
        "score": np.float32([[0.9, np.nan]]),
        "mask_score": np.float32([[0.5, np.nan]]),
        "mask_prob": np.ones((1, 2, 28, 28), np.float32),
        "rank_logit": np.float32([[[0, 0, 0, 0, np.log(4)], [np.nan] * 5]]),
        "rank_class": np.int32([[4, 3]]),
        "finite": np.array([True]),
    }
    return Detections(**fields | changes)


def test_paste_moves_an_image_to_its_photograph():
    """A photograph of 64x80 lies in the input as 32x40."""
    got = paste(one_image(), 0, np.array([32, 40]), (64, 80))
    assert got.xyxy.tolist() == [[8, 16, 48, 64]]
    np.testing.assert_allclose(got.rank_prob, [[1 / 8] * 4 + [1 / 2]])
    expected = np.zeros((64, 80), bool)
    expected[16:64, 8:48] = True
    masks = got.masks([0])
    assert masks.shape == (1, 64, 80) and masks.sum() == pytest.approx(expected.sum(), abs=20)
    assert not masks[0][~expected].any()


@pytest.mark.parametrize("field", ["score", "mask_score", "mask_prob", "rank_logit"])
def test_what_is_not_finite_is_named(field):
    values = np.array(getattr(one_image(), field))
    values[0, 0] = np.inf
    with pytest.raises(FloatingPointError, match="not finite"):
        paste(one_image(**{field: values}), 0, np.array([32, 40]), (64, 80))
