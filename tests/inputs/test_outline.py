"""Polygons as edges."""

import numpy as np

from sor_jax.inputs.transforms import edges_of
from tests.polygons import shoelace

TRIANGLE = np.float32([[0, 0], [4, 0], [0, 3]])


def test_parts_are_closed_and_numbered():
    edges, part = edges_of([TRIANGLE, TRIANGLE + 10])
    np.testing.assert_array_equal(edges[:3], [[0, 0, 4, 0], [4, 0, 0, 3], [0, 3, 0, 0]])
    np.testing.assert_array_equal(edges[3:], edges[:3] + 10)
    np.testing.assert_array_equal(part, [0, 0, 0, 1, 1, 1])
    assert (edges.dtype, part.dtype) == (np.float32, np.int32)


def test_every_part_is_turned_to_a_positive_area():
    rng = np.random.default_rng(0)
    parts = [rng.uniform(0, 50, (rng.integers(3, 9), 2)).astype(np.float32) for _ in range(30)]
    edges, part = edges_of(parts)
    x0, y0, x1, y1 = edges.astype(np.float64).T
    for index, points in enumerate(parts):
        of_part = part == index
        area = (x0 * y1 - x1 * y0)[of_part].sum() / 2
        np.testing.assert_allclose(area, shoelace(points), rtol=1e-5)
        vertices = {tuple(p) for p in points.tolist()}
        assert {tuple(p) for p in edges[of_part, :2].tolist()} == vertices


def test_edges_without_length_are_left_out():
    repeated = TRIANGLE[[0, 0, 1, 2, 2, 0]]
    for got, want in zip(edges_of([repeated]), edges_of([TRIANGLE]), strict=True):
        np.testing.assert_array_equal(got, want)


def test_no_parts():
    edges, part = edges_of([])
    assert edges.shape == (0, 4)
    assert part.shape == (0,)
