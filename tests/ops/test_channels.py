"""Sums by channel: both forms, and the gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops import channels


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("form", ["_by_product", "_by_reduction", "channel_sums"])
def test_sums_of_every_form(form):
    x = normal(3, 5, 7, 4)
    expected = np.array([[image[..., c].sum() for c in range(4)] for image in x])
    np.testing.assert_allclose(getattr(channels, form)(jnp.asarray(x)), expected, atol=1e-5)


def test_sum_and_spread_are_each_others_transpose():
    x, values = normal(3, 5, 7, 4), normal(3, 4, seed=1)
    of_x = jax.vjp(channels.channel_sums, x)[1](values)[0]
    np.testing.assert_array_equal(of_x, np.broadcast_to(values[:, None, None], x.shape))
    spread = channels.spread(values, (5, 7))
    np.testing.assert_array_equal(spread, of_x)
    of_values = jax.vjp(lambda v: channels.spread(v, (5, 7)), values)[1](x)[0]
    np.testing.assert_allclose(of_values, x.sum((1, 2)), atol=1e-5)


def test_gradients_keep_their_dtype():
    x, bias = jnp.ones((2, 3, 3, 4), jnp.bfloat16), jnp.ones(4, jnp.bfloat16)
    out, pull = jax.vjp(channels.add_bias, x, bias)
    assert out.dtype == jnp.bfloat16 and channels.channel_sums(x).dtype == jnp.float32
    of_x, of_bias = pull(out)
    assert of_x.dtype == of_bias.dtype == jnp.bfloat16
    np.testing.assert_array_equal(of_bias, np.full(4, 2 * 3 * 3 * 2.0))
