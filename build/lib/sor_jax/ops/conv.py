"""A 2-D convolution whose gradient is fast on CPUs too, inside loops and conditions.

XLA computes the gradient of a convolution as another one with its dimensions relabelled. On a CPU
only the outermost computation gets these rewritten to the fast kernels; inside a scan or a cond
they are some hundred times slower. Written out as plain NHWC convolutions of transposed arrays
they are fast everywhere.
"""

import functools

import jax
import jax.numpy as jnp

_LAYOUT = ("NHWC", "HWIO", "NHWC")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv2d(x, kernel, stride: int = 1):
    """Convolves with k // 2 cells of zeros on every side.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, C, D], k odd.
      stride: step in both axes.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), D]
    """
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return jnp.einsum("bhwc,cd->bhwd", x, kernel[0, 0])
    pad = kernel.shape[0] // 2
    return _conv(x, kernel, ((pad, pad), (pad, pad)), stride=stride)


def _conv(x, kernel, padding, *, stride=1, spread_x=1, spread_kernel=1):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        lhs_dilation=(spread_x, spread_x),
        rhs_dilation=(spread_kernel, spread_kernel),
        dimension_numbers=_LAYOUT,
    )


def _forward(x, kernel, stride):
    return conv2d(x, kernel, stride), (x, kernel)


def _backward(stride, residuals, cotangent):
    return jax.lax.platform_dependent(
        *residuals,
        cotangent,
        cpu=functools.partial(_written_out, stride),
        default=functools.partial(_by_xla, stride),
    )


def _by_xla(stride, x, kernel, cotangent):
    return jax.vjp(lambda x, kernel: conv2d.fun(x, kernel, stride), x, kernel)[1](cotangent)


def _written_out(stride, x, kernel, cotangent):
    """The cotangents of x and kernel by convolutions of the forward kind."""
    if kernel.shape[:2] == (1, 1) and stride == 1:
        return _of_a_product(x, kernel, cotangent)
    k, pad = kernel.shape[0], kernel.shape[0] // 2
    to_x, to_kernel = [], []
    for size, out in zip(x.shape[1:3], cotangent.shape[1:3], strict=True):
        reach = stride * (out - 1) + 1  # cells that the spread-out cotangent covers
        to_x.append((k - 1 - pad, size + pad - reach))
        to_kernel.append((pad, reach + k - 1 - pad - size))
    flipped = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    x_bar = _conv(cotangent, flipped, to_x, spread_x=stride)
    channels_first = x.transpose(3, 1, 2, 0)
    as_kernel = cotangent.transpose(1, 2, 0, 3)
    kernel_bar = _conv(channels_first, as_kernel, to_kernel, spread_kernel=stride)
    return x_bar, kernel_bar.transpose(1, 2, 0, 3)


def _of_a_product(x, kernel, cotangent):
    """The same of a 1x1 kernel. Of rows by channels: XLA would transpose the wider array."""
    channels, features = kernel.shape[2:]
    x_bar = jnp.einsum("bhwd,cd->bhwc", cotangent, kernel[0, 0])
    kernel_bar = x.reshape(-1, channels).T @ cotangent.reshape(-1, features)
    return x_bar, kernel_bar[None, None]


conv2d.defvjp(_forward, _backward)
