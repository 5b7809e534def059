"""Regions in chunks against all at once: values and gradients, and what no chunk may see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.chunks import in_chunks
from sor_jax.structures import Boxes


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


WEIGHTS = {"kernel": normal(4, 6), "bias": normal(6, seed=1), "unused": normal(3, seed=2)}
SCALE = jnp.array([2, 3])  # of each image


def function(weights, scale, boxes):
    x = boxes.xyxy * scale[:, None, None]
    return {
        "rows": jnp.tanh(x @ weights["kernel"] + weights["bias"]),
        "count": jnp.sum(boxes.valid, dtype=jnp.float32),
    }


def regions(counts, slots=7):
    valid = np.arange(slots) < np.array(counts)[:, None]
    return Boxes(normal(len(counts), slots, 4, seed=3), jnp.asarray(valid))


def loss(run, boxes):
    def of(weights, boxes):
        rows = run(weights, boxes)["rows"]
        return jnp.sum(jnp.where(boxes.valid[..., None], jnp.square(rows), 0))

    return jax.jit(jax.value_and_grad(of))(WEIGHTS, boxes)


@pytest.mark.parametrize("size", [1, 3, 7, 20])
@pytest.mark.parametrize("counts", [(7, 7), (4, 1), (0, 3), (0, 0)])
def test_values_and_gradients_are_those_of_all_at_once(size, counts):
    boxes = regions(counts)

    def chunked(weights, boxes):
        return in_chunks(function, weights, SCALE, boxes, size=size)

    got = chunked(WEIGHTS, boxes)
    expected = function(WEIGHTS, SCALE, boxes)
    valid = np.asarray(boxes.valid)
    np.testing.assert_allclose(got["rows"][valid], expected["rows"][valid], rtol=1e-5)
    assert got["count"].sum() == sum(counts)
    got, got_bars = loss(chunked, boxes)
    expected, bars = loss(lambda weights, boxes: function(weights, SCALE, boxes), boxes)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    for name, bar in bars.items():
        np.testing.assert_allclose(got_bars[name], bar, rtol=1e-5, atol=1e-4, err_msg=name)


def test_chunks_behind_the_last_region_are_not_computed():
    def ones(weights, scale, boxes):
        return jnp.ones(boxes.valid.shape) * weights["bias"][0]

    for counts, computed in (((3, 1), 4), ((0, 0), 0), ((0, 7), 7)):
        boxes, expected = regions(counts), np.arange(7) < computed
        run = functools.partial(in_chunks, ones, fixed=SCALE, boxes=boxes, size=2)
        differentiated, _ = jax.vjp(lambda weights, run=run: run(weights=weights), WEIGHTS)
        for rows in (run(weights=WEIGHTS), differentiated):
            np.testing.assert_array_equal(rows != 0, np.tile(expected, (2, 1)))


def test_a_gradient_keeps_the_weights_once_however_many_chunks():
    """What is kept between the passes: no copy of the weights for each of the chunks."""
    wide = {"kernel": normal(4, 6), "square": normal(512, 512, seed=4)}

    def product(weights, scale, boxes):
        wide = jnp.pad(boxes.xyxy, ((0, 0), (0, 0), (0, 508)))
        return jnp.tanh(wide @ weights["square"]) @ weights["square"]

    def loss(weights, boxes):
        return jnp.sum(jnp.square(in_chunks(product, weights, SCALE, boxes, size=1)))

    compiled = jax.jit(jax.grad(loss)).lower(wide, regions((7, 7))).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 7 * wide["square"].nbytes
