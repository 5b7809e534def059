"""The 3x3/2 maximum against XLA's own window reduction."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.pool import max_pool3


@pytest.mark.parametrize("before", [0, 1])
def test_values_and_gradient_with_ties(before):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-3, 3, (2, 8, 6, 3)), jnp.float32)  # many are equal
    cotangent = jnp.asarray(rng.normal(size=(2, 4, 3, 3)), jnp.float32)

    def by_xla(x):
        return nn.max_pool(x, (3, 3), (2, 2), ((before, 1), (before, 1)))

    expected, pull = jax.vjp(by_xla, x)
    got, own = jax.vjp(lambda x: max_pool3(x, before), x)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_allclose(own(cotangent)[0], pull(cotangent)[0], atol=1e-5)
