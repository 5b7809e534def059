"""A 2-D convolution whose gradient is fast on CPUs too, inside loops and conditions.

XLA computes the gradient of a convolution as another one with its dimensions relabelled. On a CPU
only the outermost computation gets these rewritten to the fast kernels; inside a scan or a cond
they are some hundred times slower. Written out as plain NHWC convolutions of transposed arrays
they are fast everywhere.

Convolutions with few output channels (a score, a box) have no fast kernel there either: they are
matrix products with all elements of the kernel at once, whose results are moved and added.
"""

import functools

import jax
import jax.numpy as jnp

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_FEW = 8  # output channels; at 3x3 of 256 these forms win up to some 32, by less and less


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
    if _has_few_outputs(kernel, stride):
        return jax.lax.platform_dependent(x, kernel, cpu=_few_outputs, default=_plain)
    return _plain(x, kernel, stride)


def _plain(x, kernel, stride=1):
    """As XLA has it wherever it runs."""
    if _is_product(kernel, stride):
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
    return jax.vjp(functools.partial(_plain, stride=stride), x, kernel)[1](cotangent)


def _written_out(stride, x, kernel, cotangent):
    """The cotangents of x and kernel by convolutions of the forward kind."""
    if _is_product(kernel, stride):
        return _of_a_product(x, kernel, cotangent)
    if _has_few_outputs(kernel, stride):
        return _of_few_outputs(x, kernel, cotangent)
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


def _is_product(kernel, stride):
    return stride == 1 and kernel.shape[:2] == (1, 1)


def _has_few_outputs(kernel, stride):
    return stride == 1 and kernel.shape[0] > 1 and kernel.shape[3] <= _FEW


def _few_outputs(x, kernel):
    """As of conv2d, at stride 1: each cell's product with every element, then their sums."""
    (h, w), k, pad = x.shape[1:3], kernel.shape[0], kernel.shape[0] // 2
    taps = jnp.einsum("bhwc,klcd->bhwkld", x, kernel)
    taps = jnp.pad(taps, ((0, 0), (pad, pad), (pad, pad), (0, 0), (0, 0), (0, 0)))
    return sum(taps[:, a : a + h, b : b + w, a, b] for a in range(k) for b in range(k))


def _of_few_outputs(x, kernel, cotangent):
    """The cotangents of x and kernel: the cotangent is moved, which is cheaper than x is."""
    (h, w), k, pad = x.shape[1:3], kernel.shape[0], kernel.shape[0] // 2
    padded = jnp.pad(cotangent, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    starts = range(2 * pad, -1, -1)
    moved = jnp.stack([padded[:, a : a + h, b : b + w] for a in starts for b in starts], axis=3)
    moved = moved.reshape(*x.shape[:3], k * k * kernel.shape[3])
    flat = kernel.transpose(0, 1, 3, 2).reshape(-1, kernel.shape[2])
    kernel_bar = moved.reshape(-1, len(flat)).T @ x.reshape(-1, x.shape[3])
    kernel_bar = kernel_bar.reshape(k, k, kernel.shape[3], -1).transpose(0, 1, 3, 2)
    return moved @ flat, kernel_bar


conv2d.defvjp(_forward, _backward)
