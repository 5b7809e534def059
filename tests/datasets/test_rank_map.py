"""A rank map is held against masks and ranks: what passes, and what the others look like."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sor_jax.datasets.images import decode_grey
from sor_jax.datasets.rank_map import check_rank_map, levels_of
from tests.pictures import encoded

HW = (120, 160)
RANKS = np.float32([0.9, 1.0, 0.8, 0.0])


def masks():
    """Three ranked objects, of which two overlap, and one without a rank on the largest."""
    rows, columns = np.mgrid[: HW[0], : HW[1]] + 0.5
    return np.stack(
        [
            (rows - 50) ** 2 + (columns - 50) ** 2 < 40**2,
            (rows - 80) ** 2 / 2 + (columns - 85) ** 2 < 20**2,
            (abs(rows - 30) < 15) & (abs(columns - 130) < 12),
            (abs(rows - 40) < 6) & (abs(columns - 30) < 6),
        ]
    )


def right(order=(0, 1, 2)):
    grey = np.zeros(HW, np.uint8)
    for index in order:
        grey[masks()[index]] = (229, 255, 204)[index]
    return grey


def smoothed(radius):
    picture = Image.fromarray(right()).filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(picture)


def resized():
    small = Image.fromarray(right()).resize((320, 240), Image.Resampling.NEAREST)
    return np.asarray(small.resize((160, 120), Image.Resampling.BILINEAR))


def covered():
    grey = right()
    grey[masks()[3]] = 0  # the object without a rank covers
    return grey


PASS = {
    "as painted": right(),
    "the other on top": right((1, 0, 2)),
    "covered": covered(),
    "anti-aliased": smoothed(0.8),
    "scaled": resized(),
    "moved by a pixel": np.roll(right(), 1, axis=1),
    "rounded instead of cut": (right() + np.isin(right(), (229, 178))).astype(np.uint8),
    "JPEG": decode_grey(encoded(right(), "JPEG", quality=95)),
}


@pytest.mark.parametrize("name", PASS)
def test_right_ones_pass(name):
    check_rank_map(PASS[name], masks(), levels_of(RANKS))


def by_level(**levels):
    table = np.arange(256)
    for old, new in levels.items():
        table[int(old[1:])] = new
    return table[right()].astype(np.uint8)


LOOKS = {
    "inverted": (255 - right(), "inverted"),
    "mirrored": (right()[:, ::-1], "mirrored left to right"),
    "upside down": (right()[::-1], "upside down"),
    "turned": (right()[::-1, ::-1], "180"),
    "binary": (by_level(_229=255, _204=255), "binary"),
    "binary of ones": (by_level(_255=1, _229=1, _204=1), "binary"),
    "indices": (by_level(_255=1, _229=2, _204=3), "indices.* 2 1 3 .*229 255 204"),
    "indices, most salient high": (by_level(_255=5, _229=4, _204=3), "indices"),
    "turned round": (by_level(_255=204, _204=255), "order is turned round"),
    "two swapped": (by_level(_255=229, _229=255), "ranks are others"),
    "other levels": (by_level(_229=200, _204=150), "outlines are right.*200 255 150"),
    "black": (np.zeros(HW, np.uint8), "all black"),
    "white": (np.full(HW, 255, np.uint8), ""),
    "of another photograph": (np.roll(right(), 60, axis=1), "not seen|%|greys"),
    "an object lacks": (by_level(_204=0), "object"),
    "an object too many": (np.where(np.mgrid[: HW[0], : HW[1]][0] > 112, 178, right()), "%"),
    "noise": (np.random.default_rng(0).integers(0, 256, HW), ""),
}


@pytest.mark.parametrize("name", LOOKS)
def test_wrong_ones_are_told_by_their_looks(name):
    grey, look = LOOKS[name]
    with pytest.raises(ValueError, match=f"rank map .*(?:{look})"):
        check_rank_map(np.asarray(grey, np.uint8), masks(), levels_of(RANKS))


def test_without_ranked_objects_it_is_black():
    levels = levels_of(np.float32([0, 0, 0.5, -1.2]))
    check_rank_map(np.zeros(HW, np.uint8), masks(), levels)
    with pytest.raises(ValueError, match="rank map"):
        check_rank_map(right(), masks(), levels)
    check_rank_map(np.zeros((4, 5), np.uint8), np.zeros((0, 4, 5), bool), np.zeros(0, int))


def test_tiny_objects_say_nothing_by_themselves():
    mask = np.zeros((1, *HW), bool)
    mask[0, 10:13, 10:12] = True
    grey = np.zeros(HW, np.uint8)
    grey[11:14, 10:12] = 255
    check_rank_map(grey, mask, levels_of(np.float32([1.0])))


def test_levels_of_float32_values():
    values = np.float32([1, 0.9, 0.8, 0.7, 0.6, 0.5, -1.1])
    np.testing.assert_array_equal(levels_of(values), [255, 229, 204, 178, 153, 0, 0])
