import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.anchors import anchors, inside
from sor_jax.ops.box_coding import ANCHOR_WEIGHTS, MAX_LOG_SCALE, REGION_WEIGHTS, decode, encode
from tests import naive


def test_anchors_by_loops():
    got = anchors((40, 64), (16, 32), (32, 64))
    expected, levels = [], []
    for level, (stride, side, rows, columns) in enumerate([(16, 32, 3, 4), (32, 64, 2, 2)]):
        for row in range(rows):
            for column in range(columns):
                for ratio in (0.5, 1, 2):
                    width = (side**2 / ratio) ** 0.5
                    height = ratio * width
                    x, y = column * stride, row * stride
                    expected.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
                    levels.append(level)
    np.testing.assert_allclose(got.xyxy, expected, rtol=1e-6)
    np.testing.assert_array_equal(got.level, levels)


@pytest.mark.parametrize("photo_hw", [(64, 96), (33, 50), (1, 1)])
def test_padding_adds_no_anchor_inside(photo_hw):
    settings = (4, 8, 16), (32, 64, 128)
    padded = anchors((96, 128), *settings)
    where = np.asarray(inside(padded, jnp.array(photo_hw)))
    np.testing.assert_array_equal(padded.xyxy[where], anchors(photo_hw, *settings).xyxy)


def test_offsets_by_hand():
    source, box = jnp.array([10.0, 20, 30, 60]), jnp.array([15.0, 30, 55, 50])
    # Centres (20, 40) and (35, 40), sides 20 x 40 and 40 x 20.
    expected = [15 / 20, 0, np.log(2), -np.log(2)]
    np.testing.assert_allclose(encode(box, source, ANCHOR_WEIGHTS), expected, atol=1e-6)
    weighted = np.multiply(expected, [10, 10, 5, 5])
    np.testing.assert_allclose(encode(box, source, REGION_WEIGHTS), weighted, atol=1e-5)
    np.testing.assert_allclose(decode(weighted, source, REGION_WEIGHTS), box, atol=1e-4)


@pytest.mark.parametrize("weights", [ANCHOR_WEIGHTS, REGION_WEIGHTS])
def test_there_and_back(weights):
    rng = np.random.default_rng(0)
    source, boxes = naive.random_boxes(rng, 50), naive.random_boxes(rng, 50)
    back = decode(encode(boxes, source, weights), source, weights)
    np.testing.assert_allclose(back, boxes, atol=2e-4)


def test_growth_is_cut_at_a_thousand_by_sixteen():
    source = jnp.array([0.0, 0, 16, 16])
    for growth in (MAX_LOG_SCALE, 9.0, 1e4):
        box = decode(jnp.array([0.0, 0, growth, 0]), source, ANCHOR_WEIGHTS)
        np.testing.assert_allclose(box, [8 - 500, 0, 8 + 500, 16], rtol=1e-5)
