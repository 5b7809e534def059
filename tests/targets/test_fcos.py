import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops import grid
from sor_jax.structures import Boxes
from sor_jax.targets.fcos import SIZE_RANGES, centerness, fcos_targets
from tests import naive

STRIDES = (8, 16, 32, 64, 128)
POINTS = grid.points((192, 256), STRIDES)


def targets_of(xyxy, points=POINTS):
    xyxy = np.asarray(xyxy, np.float32).reshape(-1, 4)
    return fcos_targets(Boxes(jnp.asarray(xyxy), jnp.ones(len(xyxy), bool)), points)


def loops(xyxy, points):
    """(object or None, distances in pixels) of every point, one point and one box at a time."""
    answers = []
    for (x, y), s, k in zip(points.xy, points.stride, points.level, strict=True):
        best = (np.inf, None, None)
        for m, (x0, y0, x1, y1) in enumerate(xyxy):
            cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
            central = max(cx - 1.5 * s, x0) < x < min(cx + 1.5 * s, x1)
            central &= max(cy - 1.5 * s, y0) < y < min(cy + 1.5 * s, y1)
            ltrb = (x - x0, y - y0, x1 - x, y1 - y)
            low, high = SIZE_RANGES[k]
            area = (x1 - x0) * (y1 - y0)
            if central and low <= max(ltrb) <= high and area < best[0]:
                best = (area, m, ltrb)
        answers.append(best[1:])
    return answers


@pytest.mark.parametrize("seed", range(4))
def test_matches_loops(seed):
    xyxy = naive.random_boxes(np.random.default_rng(seed), 12, span=150, longest=40 + 60 * seed)
    got = targets_of(xyxy)
    expected = loops(xyxy, POINTS)
    assert any(m is not None for m, _ in expected)
    for p, (m, ltrb) in enumerate(expected):
        assert got.positive[p] == (m is not None)
        if m is not None:
            assert got.gt_index[p] == m
            np.testing.assert_allclose(got.ltrb[p], np.array(ltrb) / POINTS.stride[p], rtol=1e-6)


def test_the_centre_region_is_open():
    # Stride 8, box centre (20, 20): the points at 20 +- 8 lie within 12 pixels, those at +- 16 not.
    got = targets_of([[0, 0, 40, 40]])
    assert sorted(map(tuple, POINTS.xy[np.asarray(got.positive)])) == [
        (x, y) for x in (12.0, 20.0, 28.0) for y in (12.0, 20.0, 28.0)
    ]
    # Centre (24, 24): the points 12 and 36 lie exactly 1.5 strides away.
    got = targets_of([[4, 4, 44, 44]])
    assert set(POINTS.xy[np.asarray(got.positive), 0].tolist()) == {20.0, 28.0}


def test_a_shared_size_bound_counts_on_both_levels():
    single = grid.Points(
        np.array([[64, 32], [64, 32]], np.float32),
        np.array([8, 16], np.float32),
        np.array([0, 1], np.int32),
    )
    assert targets_of([[0, 0, 128, 64]], single).positive.tolist() == [True, True]
    assert targets_of([[0, 0, 128.5, 64]], single).positive.tolist() == [False, True]


def test_the_smallest_box_wins_and_of_equals_the_first():
    large, small, wide = [0, 0, 60, 60], [10, 10, 50, 50], [-10, 20, 70, 40]  # the last two: 1600
    center = int(np.flatnonzero((POINTS.xy == (28, 28)).all(axis=1))[0])
    for xyxy, winner in [([large, small], 1), ([small, wide], 0), ([wide, small], 0)]:
        assert targets_of(xyxy).gt_index[center] == winner


def test_centerness_by_hand():
    ltrb = jnp.array([[1.0, 1, 1, 1], [1, 2, 4, 2], [1, 1, 4, 9]])
    np.testing.assert_allclose(centerness(ltrb), [1, 0.5, 1 / 6], rtol=1e-6)


@pytest.mark.parametrize("junk", [np.nan, np.inf, -1e9, 0.0])
def test_padded_boxes_are_never_seen(junk):
    xyxy = naive.random_boxes(np.random.default_rng(0), 4, span=120, longest=80)
    padded = Boxes(
        jnp.concatenate([xyxy[:2], jnp.full((3, 4), junk), xyxy[2:]]),
        jnp.array([True] * 2 + [False] * 3 + [True] * 2),
    )
    got, expected = fcos_targets(padded, POINTS), targets_of(xyxy)
    where = expected.positive
    np.testing.assert_array_equal(got.positive, where)
    place = np.array([0, 1, 5, 6])[expected.gt_index]
    np.testing.assert_array_equal(got.gt_index[where], place[where])
    np.testing.assert_array_equal(got.ltrb, expected.ltrb)
    np.testing.assert_array_equal(got.centerness, expected.centerness)


def test_an_image_without_objects_has_no_positive_and_finite_targets():
    got = fcos_targets(Boxes(jnp.full((3, 4), jnp.nan), jnp.zeros(3, bool)), POINTS)
    assert not got.positive.any()
    assert np.isfinite(got.ltrb).all()
    assert np.isfinite(got.centerness).all()


def test_a_batch_is_a_stack_of_images():
    rng = np.random.default_rng(0)
    xyxy = np.stack([naive.random_boxes(rng, 5, span=120) for _ in range(2)])
    valid = np.array([[True] * 5, [True] * 2 + [False] * 3])
    batched = jax.jit(jax.vmap(lambda gt: fcos_targets(gt, POINTS)))(Boxes(xyxy, valid))
    for i in range(2):
        one = fcos_targets(Boxes(jnp.asarray(xyxy[i]), jnp.asarray(valid[i])), POINTS)
        jax.tree.map(lambda got, want, i=i: np.testing.assert_allclose(got[i], want), batched, one)


def test_more_levels_than_size_ranges_are_refused():
    with pytest.raises(ValueError, match="5 levels but size_ranges 2"):
        fcos_targets(Boxes(jnp.zeros((1, 4)), jnp.ones(1, bool)), POINTS, size_ranges=((0, 1),) * 2)
