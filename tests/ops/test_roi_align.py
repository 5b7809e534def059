"""RoIAlign against a naive loop and against the separable form, its level rules and its bound."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.roi_align import assign_levels, max_points, roi_align


def naive(feature, box, stride, out):
    """One region of one map, point by point, as the rule is worded."""
    h, w, channels = feature.shape
    pooled = np.zeros((out, out, channels))
    x0, y0, x1, y1 = np.asarray(box, np.float64) / stride
    ky, kx = math.ceil((y1 - y0) / out), math.ceil((x1 - x0) / out)
    if ky <= 0 or kx <= 0:
        return pooled
    for i in range(out):
        for j in range(out):
            for sy in range(ky):
                for sx in range(kx):
                    y = y0 - 0.5 + (i + (sy + 0.5) / ky) * (y1 - y0) / out
                    x = x0 - 0.5 + (j + (sx + 0.5) / kx) * (x1 - x0) / out
                    pooled[i, j] += bilinear(feature, y, x) / (ky * kx)
    return pooled


def bilinear(feature, y, x):
    h, w, _ = feature.shape
    if y < -1 or y > h or x < -1 or x > w:
        return 0.0
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    i, j = int(y), int(x)
    i1, j1 = min(i + 1, h - 1), min(j + 1, w - 1)
    dy, dx = y - i, x - j
    top = (1 - dx) * feature[i, j] + dx * feature[i, j1]
    return (1 - dy) * top + dy * ((1 - dx) * feature[i1, j] + dx * feature[i1, j1])


def separable(feature, box, stride, out):
    """The same as two matrix products: bilinear sampling is a product of the axes."""
    x0, y0, x1, y1 = np.asarray(box, np.float64) / stride
    rows, columns = (
        axis_weights(a, b, n, out)
        for a, b, n in zip((y0, x0), (y1, x1), feature.shape, strict=False)
    )
    return np.einsum("ih,hwc,jw->ijc", rows, feature, columns)


def axis_weights(start, end, cells, out):
    weights = np.zeros((out, cells))
    count = max(math.ceil((end - start) / out), 0)
    for b in range(out):
        for s in range(count):
            at = start - 0.5 + (b + (s + 0.5) / count) * (end - start) / out
            if -1 <= at <= cells:
                at = min(max(at, 0), cells - 1)
                hat = np.maximum(1 - np.abs(np.arange(cells) - at), 0)
                weights[b] += hat / count
    return weights


BOXES = np.array(
    [
        [3, 5, 40, 33],
        [0, 0, 96, 64],
        [-20, -11, 30, 9],  # out at the top left
        [70, 50, 130, 90],  # out at the bottom right
        [200, 100, 240, 140],  # outside
        [10, 10, 10, 30],  # no width
        [30, 20, 20, 30],  # inside out
        [11.3, 7.7, 11.9, 8.1],  # smaller than a cell
    ],
    np.float32,
)


def pool(features, boxes, level, *, strides, out=7, points=12, hw=(64, 96)):
    hw = jnp.asarray([hw] * features[0].shape[0])
    return roi_align(
        features,
        jnp.asarray(boxes),
        jnp.asarray(level),
        hw,
        strides=strides,
        out=out,
        points=points,
    )


@pytest.mark.parametrize("out", [3, 7])
def test_matches_naive_loop_and_separable_form(out):
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(2, 64 // s, 96 // s, 3)).astype(np.float32) for s in (4, 8)]
    level = rng.integers(0, 2, (2, len(BOXES)))
    boxes = np.stack([BOXES, BOXES[::-1]])
    got, too_many = pool(features, boxes, level, strides=(4, 8), out=out, points=400)
    assert not too_many.any()
    for b in range(2):
        for r in range(len(BOXES)):
            k = level[b, r]
            args = features[k][b], boxes[b, r], (4, 8)[k], out
            np.testing.assert_allclose(got[b, r], naive(*args), atol=1e-5)
            np.testing.assert_allclose(got[b, r], separable(*args), atol=1e-5)


def test_hand_worked_crop():
    feature = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    got, _ = pool([feature], [[[1, 1, 3, 3]]], [[0]], strides=(1,), out=4, hw=(5, 5))
    # Bins of half a cell around the centres of cells 1 and 2: steps of .5 in x, 2.5 in y.
    expected = [[4.5, 5, 5.5, 6], [7, 7.5, 8, 8.5], [9.5, 10, 10.5, 11], [12, 12.5, 13, 13.5]]
    np.testing.assert_allclose(got[0, 0, ..., 0], expected)


def test_cells_outside_the_photograph_are_never_read():
    rng = np.random.default_rng(1)
    small = rng.normal(size=(1, 5, 7, 2)).astype(np.float32)
    padded = np.full((1, 8, 12, 2), 1e6, np.float32)
    padded[:, :5, :7] = small
    boxes = np.array([[[0, 0, 56, 40], [30, 20, 80, 90], [-9, -9, 20, 20]]], np.float32)
    expected, _ = pool([small], boxes, np.zeros((1, 3), int), strides=(8,), hw=(40, 56))
    got, _ = pool([padded], boxes, np.zeros((1, 3), int), strides=(8,), hw=(40, 56))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_gradient_is_the_transpose_of_the_separable_form():
    rng = np.random.default_rng(2)
    feature = rng.normal(size=(1, 8, 12, 2)).astype(np.float32)
    cotangent = rng.normal(size=(1, len(BOXES), 5, 5, 2)).astype(np.float32)
    level = np.zeros((1, len(BOXES)), int)

    def total(feature, boxes):
        return jnp.sum(pool([feature], boxes, level, strides=(8,), out=5)[0] * cotangent)

    to_feature, to_boxes = jax.grad(total, argnums=(0, 1))(jnp.asarray(feature), BOXES[None])
    expected = np.zeros(feature.shape[1:])
    for box, ct in zip(BOXES, cotangent[0], strict=True):
        x0, y0, x1, y1 = box / 8
        rows, columns = axis_weights(y0, y1, 8, 5), axis_weights(x0, x1, 12, 5)
        expected += np.einsum("ih,ijc,jw->hwc", rows, ct, columns)
    np.testing.assert_allclose(to_feature[0], expected, atol=1e-4)
    assert not np.any(to_boxes)


def test_gradient_is_the_transpose_of_the_pooling_itself():
    """Over levels, with padding and coarse sampling: <pool f, c> = <f, spread c>."""
    rng = np.random.default_rng(3)
    hw, strides = (50, 70), (1, 8)
    level = rng.integers(0, 2, (2, len(BOXES)))
    boxes = np.stack([BOXES, BOXES[::-1]])
    cotangent = rng.normal(size=(2, len(BOXES), 5, 5, 2)).astype(np.float32)

    def pooled(features):
        return pool(features, boxes, level, strides=strides, out=5, points=20, hw=hw)

    draw = [rng.normal(size=(2, 64 // s, 96 // s, 2)).astype(np.float32) for s in strides]
    _, too_many = pooled(draw)
    assert 0 < too_many.sum() < too_many.size
    spread = jax.vjp(lambda f: pooled(f)[0], draw)[1](jnp.asarray(cotangent))[0]
    given = np.sum(np.asarray(pooled(draw)[0], np.float64) * cotangent)
    taken = sum(np.sum(np.asarray(a, np.float64) * b) for a, b in zip(spread, draw, strict=True))
    np.testing.assert_allclose(taken, given, rtol=1e-5)
    assert not np.any(spread[0][:, 50:]) and not np.any(spread[0][:, :, 70:])


def test_a_region_beyond_the_bound_is_counted_and_sampled_coarsely():
    ramp = np.broadcast_to(np.arange(96, dtype=np.float32), (1, 64, 96))[..., None]
    boxes = np.array([[[10, 10, 90, 60], [10, 10, 20, 15]]], np.float32)
    got, too_many = pool([ramp], boxes, np.zeros((1, 2), int), strides=(1,), out=2, points=20)
    np.testing.assert_array_equal(too_many, [[True, False]])
    np.testing.assert_allclose(got[0, 0, :, :, 0], [[29.5, 69.5]] * 2)  # a ramp is exact anyway


@pytest.mark.parametrize(
    ("rule", "levels", "out", "extent", "expected"),
    [
        ("area_ratio", (3, 4, 5), 14, 1.0, (12, 6, 4)),
        ("fpn", (2, 3, 4, 5), 14, 1.0, (12, 8, 6, 4)),
        ("fpn", (2, 3, 4, 5), 7, 1.0, (32, 24, 24, 9)),
        ("area_ratio", (3, 4, 5), 14, 2.0, (14, 8, 9)),
        ("area_ratio", (3, 4, 5), 14, 4.0, (23, 12, 30)),
    ],
)
def test_bound_on_points(rule, levels, out, extent, expected):
    got = max_points((480, 640), levels=levels, out=out, rule=rule, extent=extent)
    assert got == expected


@pytest.mark.parametrize("rule", ["area_ratio", "fpn"])
def test_no_box_needs_more_points_than_the_bound_and_some_nearly_do(rule):
    levels, out, hw = (3, 4, 5), 7, (480, 640)
    rng = np.random.default_rng(3)
    corners = np.sort(rng.uniform(0, 1, (20_000, 2, 2)), axis=1)
    corners[:2000, :, 1] = 0, 1  # full width
    corners[2000:4000, :, 0] = 0, 1  # full height
    xyxy = np.stack([corners[:, 0, 1], corners[:, 0, 0], corners[:, 1, 1], corners[:, 1, 0]], 1)
    xyxy = (xyxy * [hw[1], hw[0], hw[1], hw[0]]).astype(np.float32)
    level = np.asarray(assign_levels(xyxy, jnp.asarray(hw), levels=levels, rule=rule))
    stride = 2.0 ** (np.asarray(levels)[level])
    need = np.ceil((xyxy[:, 2] - xyxy[:, 0]) / stride / out)
    need *= np.ceil((xyxy[:, 3] - xyxy[:, 1]) / stride / out)
    bound = max_points(hw, levels=levels, out=out, rule=rule)
    for k in range(3):
        assert need[level == k].max() <= bound[k]
    assert need.max() >= 0.8 * max(bound)


def test_level_rules_are_the_papers_formulas():
    rng = np.random.default_rng(4)
    side = np.exp(rng.uniform(0, 6.4, (500, 2)))
    xyxy = np.concatenate([np.zeros((500, 2)), side], axis=1).astype(np.float32)
    area = np.prod(xyxy[:, 2:].astype(np.float64), axis=1)
    ratio = np.clip(np.ceil(5 - np.log2(480 * 640 / area)), 3, 5) - 3
    fpn = np.clip(np.floor(4 + np.log2(np.sqrt(area) / 224 + 1e-8)), 2, 5) - 2
    hw = jnp.array([480, 640])
    got = assign_levels(xyxy, hw, levels=(3, 4, 5), rule="area_ratio")
    np.testing.assert_array_equal(got, ratio)
    got = assign_levels(xyxy, hw, levels=(2, 3, 4, 5), rule="fpn")
    np.testing.assert_array_equal(got, fpn)
    # On the borders: exactly a half and a quarter of the image belong to the finer level.
    edge = np.array([[0, 0, 640, 240], [0, 0, 320, 240], [0, 0, 640, 240.5], [5, 5, 5, 5]])
    got = assign_levels(edge.astype(np.float32), hw, levels=(3, 4, 5), rule="area_ratio")
    np.testing.assert_array_equal(got, [1, 0, 2, 0])


def test_an_unknown_level_rule_is_named():
    with pytest.raises(ValueError, match="'area'.*'area_ratio'.*'fpn'"):
        assign_levels(BOXES, jnp.array([64, 96]), levels=(3, 4), rule="area")


@pytest.mark.parametrize(
    ("centre", "reads"), [(-0.5, 0), (-0.51, None), (4.5, 3), (4.51, None), (0.5, 0), (3.5, 3)]
)
def test_the_outer_border_reads_and_what_is_beyond_it_does_not(centre, reads):
    row = jnp.asarray([1.0, 2.0, 4.0, 8.0])
    feature = jnp.broadcast_to(row[None, None, :, None], (1, 4, 4, 1))
    box = jnp.asarray([[[centre - 0.5, 0.0, centre + 0.5, 1.0]]])
    level, hw = jnp.zeros((1, 1), jnp.int32), jnp.asarray([[4, 4]])
    pooled, _ = roi_align([feature], box, level, hw, strides=(1,), out=1, points=4)
    assert pooled.item() == (0.0 if reads is None else row[reads])
