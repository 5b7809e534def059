"""Rows times a matrix: the gradient in either form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops.dense import dense


@pytest.mark.parametrize("rows", [2, 40])  # fewer than the matrix has, and more
def test_gradient(rows):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, rows // 2, 24)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(24, 16)), jnp.float32)
    cotangent = jnp.asarray(rng.normal(size=(2, rows // 2, 16)), jnp.float32)
    out, pull = jax.vjp(dense, x, kernel)
    np.testing.assert_allclose(out, np.einsum("brc,cd->brd", x, kernel), atol=1e-4)
    of_x, of_kernel = pull(cotangent)
    np.testing.assert_allclose(of_x, np.einsum("brd,cd->brc", cotangent, kernel), atol=1e-4)
    np.testing.assert_allclose(of_kernel, np.einsum("brc,brd->cd", x, cotangent), atol=1e-4)
