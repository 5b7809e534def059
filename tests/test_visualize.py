"""Pictures: sizes, tints and legible ranks; good looks are for people to judge."""

import numpy as np
import pytest

from sor_jax.visualize import (
    COLOURS,
    NO_RANK_COLOUR,
    colour_of,
    contact_sheet,
    panel,
    ranked_overlay,
)


def two_masks(hw):
    masks = np.zeros((2, *hw), bool)
    h, w = hw
    masks[0, h // 8 : h // 2, w // 8 : w // 2] = True
    masks[1, h // 2 :, w // 2 :] = True
    return masks


@pytest.mark.parametrize("hw", [(120, 160), (480, 640), (640, 480), (40, 900), (900, 40), (1, 1)])
def test_panels_of_photographs_of_any_shape(hw):
    masks = two_masks(hw)
    picture = panel(
        np.full((*hw, 3), 90, np.uint8), (masks, [1, 2]), (masks[:0], []), notes=("id",)
    )
    assert picture.dtype == np.uint8
    assert picture.shape[0] <= 420
    assert picture.shape[1] <= 2300
    assert len(np.unique(picture)) > 3


def test_objects_are_tinted_by_rank_and_the_rest_is_grey():
    masks = two_masks((120, 160))
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    picture = np.asarray(ranked_overlay(image, masks, [1, 5])).astype(int)
    h, w = picture.shape[:2]
    background = picture[: h // 12]
    assert (np.ptp(background, axis=-1) == 0).all()
    red, blue = picture[h // 7 : h // 5, w // 7 : w // 5], picture[-h // 6 :, -w // 6 :]
    assert (red[..., 0] > red[..., 2]).all()
    assert (blue[..., 2] > blue[..., 0]).all()
    assert len(set(COLOURS.values())) == 5


@pytest.mark.parametrize("rank", [1, 2, 3, 4, 5])
def test_the_rank_is_written_large_on_the_object(rank):
    masks = two_masks((120, 160))[:1]
    image = np.full((120, 160, 3), 60, np.uint8)
    picture = np.asarray(ranked_overlay(image, masks, [rank]))
    is_white = (picture == 255).all(axis=-1)
    rows, columns = np.nonzero(is_white)
    h, w = is_white.shape
    assert np.ptp(rows) > 0.08 * h
    inside = (rows > h / 8) & (rows < h / 2) & (columns > w / 8) & (columns < w / 2)
    assert inside.all()


def test_a_covered_object_has_its_rank_where_it_is_seen():
    masks = np.zeros((2, 120, 160), bool)
    masks[0, 10:110, 10:150] = True
    masks[1, 15:105, 40:145] = True  # leaves a strip on the left
    picture = np.asarray(ranked_overlay(np.zeros((120, 160, 3), np.uint8), masks, [1, 2]))
    _, columns = np.nonzero((picture == 255).all(axis=-1))
    scale = picture.shape[1] / 160
    assert (columns < 40 * scale).any()
    assert (columns > 60 * scale).any()


def test_objects_that_vanish_are_drawn_without_failing():
    masks = np.zeros((2, 60, 80), bool)
    masks[1, 3, 4] = True
    ranked_overlay(np.zeros((60, 80, 3), np.uint8), masks, [1, 2])


def test_contact_sheet_places_panels_in_rows():
    panels = [np.full((40, 100, 3), 50 * i, np.uint8) for i in range(1, 4)]
    page = contact_sheet(panels, columns=2, scale=0.5)
    assert page.shape == (40, 100, 3)
    assert [page[10, 25, 0], page[10, 75, 0], page[30, 25, 0]] == [50, 100, 150]
    assert contact_sheet(panels[:1], scale=1.0).shape == (40, 100, 3)


def test_eight_ranks_have_eight_colours_and_the_ninth_none():
    colours = [colour_of(rank, 8) for rank in range(1, 9)]
    assert len({*colours, NO_RANK_COLOUR}) == 9
    assert colours[:5] == list(COLOURS.values())
    assert {colour_of(9, 8), colour_of(0), colour_of(6, 5)} == {NO_RANK_COLOUR}
    picture = np.asarray(
        ranked_overlay(np.zeros((60, 80, 3), np.uint8), two_masks((60, 80)), [8, 6], num_ranks=8)
    )
    assert (picture == 255).all(axis=-1).any()  # numbers are written
