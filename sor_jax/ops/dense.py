"""Rows times a matrix, with a gradient that is fast on CPUs too."""

import jax

_once = jax.lax.optimization_barrier  # XLA would fold a transpose back into the product


@jax.custom_vjp
def dense(x, kernel):
    """[..., C] x [C, D] -> [..., D]."""
    return x @ kernel


def _forward(x, kernel):
    return dense(x, kernel), (x, kernel)


def _backward(residuals, cotangent):
    x, kernel = residuals
    rows, bars = x.reshape(-1, x.shape[-1]), cotangent.reshape(-1, cotangent.shape[-1])
    # A CPU would transpose the kernel, the larger one where rows are few, at a fifth of the speed.
    if len(rows) < min(kernel.shape):
        by = jax.lax.platform_dependent(kernel, bars, cpu=_transposed, default=_product)
    else:
        by = _product(kernel, bars)
    return by.reshape(x.shape), rows.T @ bars


def _product(kernel, bars):
    return bars @ kernel.T


def _transposed(kernel, bars):
    return _once(kernel @ _once(bars.T)).T


dense.defvjp(_forward, _backward)
