import numpy as np
import pytest

from sor_jax.ops import grid

STRIDES = (8, 16, 32, 64, 128)


def test_points_by_hand():
    points = grid.points((20, 24), (8, 16))
    fine = [(x, y) for y in (4, 12, 20) for x in (4, 12, 20)]
    coarse = [(x, y) for y in (8, 24) for x in (8, 24)]
    np.testing.assert_array_equal(points.xy, fine + coarse)
    np.testing.assert_array_equal(points.stride, [8] * 9 + [16] * 4)
    np.testing.assert_array_equal(points.level, [0] * 9 + [1] * 4)
    assert [a.dtype for a in points] == [np.float32, np.float32, np.int32]


@pytest.mark.parametrize("canvas_hw", [(480, 640), (32, 96), (416, 416)])
def test_level_shapes_are_those_of_convolutions_of_stride_two(canvas_hw):
    shape = tuple(side // 8 for side in canvas_hw)
    for level in grid.level_shapes(canvas_hw, STRIDES):
        assert level == shape
        shape = tuple((side - 1) // 2 + 1 for side in shape)  # 3x3, padding 1


@pytest.mark.parametrize("photo_hw", [(480, 640), (416, 352), (320, 640), (33, 500), (1, 1)])
def test_padding_adds_no_point_inside(photo_hw):
    padded = grid.points((512, 640), STRIDES)
    inside = np.asarray(grid.inside(padded, np.array(photo_hw)))
    alone = grid.points(photo_hw, STRIDES)
    np.testing.assert_array_equal(padded.xy[inside], alone.xy)
    np.testing.assert_array_equal(padded.level[inside], alone.level)
