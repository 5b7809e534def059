"""Filled polygons against pycocotools, areas against geometry done otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sor_jax.ops import polygons
from tests.polygons import KINDS, coco_fill, made_up_parts, padded_edges, rle_parts, shoelace

SLOTS = 48


@pytest.fixture(scope="module")
def objects():
    rng = np.random.default_rng(0)
    return [made_up_parts(rng, size=(28, 28), kind=KINDS[i % len(KINDS)]) for i in range(5000)]


@jax.jit
@jax.vmap
def filled(edges, part, valid):
    return polygons.fill(edges, part, valid, side=28)


@jax.jit
@jax.vmap
def counted(edges, part, valid, hw):
    return polygons.count_cells(edges, part, valid, hw, max_hw=(96, 80))


def test_fill_is_pycocotools_to_the_cell(objects):
    got = filled(*padded_edges(objects, slots=SLOTS))
    want = np.stack([coco_fill(parts, (28, 28)) for parts in objects])
    assert 0.2 < want.mean() < 0.8
    np.testing.assert_array_equal(got, want)


def test_counts_are_pycocotools_part_by_part(objects):
    rng = np.random.default_rng(1)
    objects = [[3 * part for part in parts] for parts in objects[:2000]]
    hw = rng.integers(1, (97, 81), (len(objects), 2))
    got = counted(*padded_edges(objects, slots=SLOTS), hw)
    pairs = zip(objects, hw, strict=True)
    want = [coco_mask.area(rle_parts(parts, size.tolist())).sum() for parts, size in pairs]
    assert np.mean(np.array(want) > 0) > 0.7
    np.testing.assert_array_equal(got, want)


def test_counts_far_from_the_corner():
    part = np.float32([[0, 0], [60, 5], [50, 70], [7, 33]]) + np.float32([900.3, 1200.8])
    edges = padded_edges([[part]], slots=4)
    for hw in ((1300, 1000), (1250, 930), (1200, 1000), (10, 10)):
        got = counted(*edges, jnp.array([hw]))
        assert got[0] == coco_mask.area(rle_parts([part], hw)).sum()


def test_direction_and_order_of_the_edges_do_not_matter(objects):
    edges, part, valid = padded_edges(objects[:200], slots=SLOTS)
    order = np.random.default_rng(0).permutation(SLOTS)
    backwards = edges[..., [2, 3, 0, 1]]
    want = filled(edges, part, valid)
    got = filled(backwards[:, order], part[:, order], valid[:, order])
    np.testing.assert_array_equal(got, want)


def test_a_ring_and_its_hole_by_hand():
    square = np.float32([[2, 2], [12, 2], [12, 12], [2, 12]])
    hole = square * 0.4 + 5
    twice_round = np.concatenate([square, square[:1], hole, hole[:1]])
    union, even_odd = filled(*padded_edges([[square, hole], [twice_round]], slots=SLOTS))
    assert union.sum() == 100  # parts add up
    assert even_odd.sum() == 100 - 16  # within a part what is covered twice is out
    assert not even_odd[6:9, 6:9].any()


def test_no_edges_fill_nothing():
    edges, part, valid = padded_edges([[]], slots=4)
    assert not filled(edges, part, valid).any()
    assert counted(edges, part, valid, jnp.array([[9, 9]]))[0] == 0
    assert polygons.area(edges[0], valid[0]) == 0


def test_too_tall_a_grid_is_refused():
    edges, part, valid = padded_edges([[]], slots=4)
    with pytest.raises(ValueError, match="33"):
        polygons.fill(edges[0], part[0], valid[0], side=33)


def test_area_inside_agrees_with_counting_small_cells():
    rng = np.random.default_rng(2)
    stars = [made_up_parts(rng, size=(24, 28), kind="star", most_parts=1) for _ in range(60)]
    hw = np.float32(rng.uniform(4, 28, (len(stars), 2)))
    edges, _, valid = padded_edges(stars, slots=16)
    got = jax.vmap(polygons.area_inside)(edges, valid, hw)
    whole = [shoelace(parts[0]) for parts in stars]
    np.testing.assert_allclose(jax.vmap(polygons.area)(edges, valid), whole, rtol=1e-4)
    fine = [
        rle_parts([40 * p[0]], np.int32(40 * s).tolist()) for p, s in zip(stars, hw, strict=True)
    ]
    cells = [coco_mask.area(rle).sum() / 40**2 for rle in fine]
    assert np.mean(np.array(cells) < 0.9 * np.array(whole)) > 0.3  # many are cut
    np.testing.assert_allclose(got, cells, atol=0.5)


def test_area_inside_by_hand():
    square = np.float32([[-3, 2], [5, 2], [5, 10], [-3, 10]])
    edges, _, valid = padded_edges([[square]], slots=6)
    for hw, want in (
        ((20, 20), 40),
        ((6, 20), 20),
        ((6, 2.5), 10),
        ((1, 20), 0),
        ((2.5, 0.5), 0.25),
    ):
        got = polygons.area_inside(edges[0], valid[0], jnp.array(hw))
        np.testing.assert_allclose(got, want, atol=1e-5)
