"""The original's rank maps: ours but for its smoothed outlines."""

import re

import numpy as np
import pytest
from scipy import ndimage

from sor_jax.metrics.sor import greys_of_classes, rank_map
from tests.parity import golden, raw

REACH = 4  # pixels to either side of an outline that smoothing may change
OUTLINE = 0.3  # how bright an outline is, of its object's grey


@pytest.fixture(params=golden.files("render_saliency_map.npz"))
def drawn(request):
    """[(the original's map u8[h, w], masks bool[n, h, w], rank classes i[n])]."""
    stored = np.load(request.param)
    seeds = [m[1] for name in stored.files if (m := re.fullmatch(r"map(\d+)", name))]
    assert seeds
    return [
        (
            stored[f"map{seed}"],
            raw.bits(stored[f"masks{seed}_packed"], raw.HW),
            stored[f"ranks{seed}"].astype(int),
        )
        for seed in seeds
    ]


def near_outlines(masks, rank_class):
    """bool[h, w]: at most REACH pixels from the border of a painted object."""
    border = np.zeros(masks.shape[1:], bool)
    for mask in masks[rank_class >= 0]:
        border |= ndimage.binary_dilation(mask) ^ ndimage.binary_erosion(mask)
    return ndimage.distance_transform_edt(~border) <= REACH


def test_equal_away_from_outlines(drawn):
    for theirs, masks, rank_class in drawn:
        near = near_outlines(masks, rank_class)
        ours = rank_map(masks, rank_class)
        assert np.mean(~near) > 0.3
        np.testing.assert_array_equal(ours[~near], theirs[~near])


def test_near_outlines_greys_are_mixed_of_what_is_around(drawn):
    size = 2 * (REACH + 1) + 1
    for theirs, masks, rank_class in drawn:
        ours = rank_map(masks, rank_class)
        assert (theirs >= np.floor(OUTLINE * ndimage.minimum_filter(ours, size))).all()
        assert (theirs <= ndimage.maximum_filter(ours, size)).all()


def test_outlines_move_the_mean_error(drawn):
    """By .045 where masks are ragged, by .015 where they are not; ours has one grey an object."""
    for theirs, masks, rank_class in drawn:
        ours = rank_map(masks, rank_class)
        assert set(np.unique(ours)) <= {0, *greys_of_classes()}
        assert len(np.unique(theirs)) > 100
        raggedness = near_outlines(masks, rank_class).mean()
        apart = np.abs(ours.astype(float) - theirs).mean() / 255
        assert 0 < apart < 0.12 * raggedness
