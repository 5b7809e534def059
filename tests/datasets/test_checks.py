"""Rank values and boxes against what they must be."""

import numpy as np
import pytest

from sor_jax.datasets.checks import XYWH, check_annotation, check_objects, check_rank_values
from tests.datasets import assr_tree

HW = (100, 200)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0, 0.5, -3.4, -1e9],
        [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        [0.8, 1.0, 0.1, 0.9],
        [float(v) for v in np.float32([1, 0.9, 0.8, 0.7, 0.6])],
        [1 - 0.1 * place for place in range(40)],  # ASSR's own
        [0.9999999, 0.9000001],
    ],
)
def test_rank_values_that_are_right(values):
    check_rank_values(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 0.875, 0.75, 0.625], "1 0.875 0.75 0.625; expected 1.0 0.9 0.8 0.7"),
        ([1, 0.8, 0.6], "1 0.8 0.6; expected 1.0 0.9 0.8"),
        ([0.8, 0.7, 0.6], "0.8 0.7 0.6; expected 1.0 0.9 0.8"),
        ([1, 1], "1 1; expected 1.0 0.9"),
        ([0.51, 1], "1 0.51"),
        ([1, 0.9, 0.8, 0.7, 0.6, 0.55], "0.55"),
        ([1, "0.9"], "object 1: rank value is the text '0.9'"),
        ([1, None], "object 1: rank value is None"),
        ([True], "True"),
        ([1, 2, 3], "object 1: rank value is 2"),
        ([float("nan")], "nan"),
        ([1, 10**400], "object 1: rank value"),
        ([float("-inf")], "inf"),
    ],
)
def test_rank_values_that_are_not(values, said):
    with pytest.raises(ValueError, match=said):
        check_rank_values(values)


def entry(numbers, box=(120, 30, 160, 90)):
    return {"bbox": list(numbers), "segmentation": assr_tree.polygon(box)}


def test_a_box_near_its_mask_passes_and_is_kept_as_it_is():
    for box in ([120, 30, 160, 90], [119, 28.5, 161.5, 91], [110, 25, 160, 95], [121, 31, 159, 89]):
        (thing,) = check_objects([entry(box)], [1.0], photo_hw=HW).objects
        np.testing.assert_array_equal(thing["bbox"], np.float32(box))
    (thing,) = check_objects([entry([120, 30, 40, 60])], [1], photo_hw=HW, box_format=XYWH).objects
    np.testing.assert_array_equal(thing["bbox"], [120, 30, 160, 90])


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ([120, 30, 40, 60], "fits its mask as x y width height but not as x0 y0 x1 y1"),
        ([30, 120, 90, 160], "y0 x0 y1 x1"),
        ([140, 60, 40, 60], "centre"),
        ([0.6, 0.3, 0.8, 0.9], "shares"),
        ([20, 30, 60, 90], "its mask lies in"),
        ([120, 30, 160, 40], "its mask lies in"),
        ([120, 30, 260, 90], "out of the photograph"),
        ([120, 30, 120, 90], "no area"),
        ([160, 30, 120, 90], "ends before it begins"),
        (["120", "30", "160", "90"], "four numbers"),
        ([120, 30, 160, 10**400], "four numbers"),
    ],
)
def test_a_box_elsewhere_than_its_mask(box, said):
    with pytest.raises(ValueError, match=f"object 0: .*{said}"):
        check_objects([entry(box)], [1.0], photo_hw=HW)


def test_a_box_as_x_y_w_h_is_seen_where_w_exceeds_x():
    box = (20, 10, 90, 60)  # as x0 y0 x1 y1 of the numbers 20 10 70 50 it would be a box, too
    with pytest.raises(ValueError, match="x y width height"):
        check_objects([entry([20, 10, 70, 50], box)], [1.0], photo_hw=HW)
    with pytest.raises(ValueError, match="x y width height"):
        masks = [assr_tree.rle(box, HW)]
        check_annotation(np.float32([[20, 10, 70, 50]]), np.float32([1]), masks, HW)


def test_x0_y0_x1_y1_in_a_file_of_x_y_w_h_is_seen():
    with pytest.raises(ValueError, match="fits its mask as x0 y0 x1 y1"):
        numbers = entry([20, 10, 60, 50], (20, 10, 60, 50))
        check_objects([numbers], [1.0], photo_hw=HW, box_format=XYWH)


@pytest.mark.parametrize(
    "odd",
    [
        {"bbox": [5, 5, 9, 5], "segmentation": [[5, 5, 9, 5, 9, 5]]},
        {"bbox": [5, 5, 5, 9], "segmentation": assr_tree.polygon((5, 5, 9, 9))},
        {"bbox": [5, 5, 9, 9], "segmentation": [[5, 5, 9, 5, 9]]},
        {"bbox": [5, 5, 9, 9], "segmentation": []},
        {"bbox": [150, 5, 190, 9], "segmentation": assr_tree.polygon((5, 5, 9, 9))},
        {"bbox": None, "segmentation": assr_tree.polygon((5, 5, 9, 9))},
        {"segmentation": {"size": [3, 3], "counts": "x"}},
        {"bbox": [5, 5, 9, 9], "segmentation": {"size": 3, "counts": [1]}},
        {},
        None,
    ],
)
def test_an_object_without_a_rank_may_be_anything(odd):
    checked = check_objects([odd, entry([120, 30, 160, 90])], [-2.3, 1.0], photo_hw=HW)
    assert checked.kept == [1] and len(checked.unusable) == 1
    assert checked.unusable[0].startswith("object 0: ")
    with pytest.raises(ValueError, match="object 0: "):
        check_objects([odd, entry([120, 30, 160, 90])], [0.9, 1.0], photo_hw=HW)
