"""A convolution of each channel alone, in the form that is fastest where it runs.

XLA's grouped convolution has no fast kernel on a CPU. There a sum of moved copies of the map takes
its place, and the gradient is written out: XLA would compute what comes before and behind it again
for each copy.
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv2d(x, kernel, stride: int = 1):
    """Convolves every channel with its own kernel, with k // 2 cells of zeros on every side.

    Args:
      x: [B, H, W, C].
      kernel: [k, k, 1, C], k odd.
      stride: step in both axes, 1 or 2.

    Returns:
      [B, ceil(H / stride), ceil(W / stride), C]
    """
    return _where_it_runs(shifted, grouped, stride, x, kernel)


def grouped(stride: int, x, kernel):
    """XLA's convolution with as many groups as channels."""
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def shifted(stride: int, x, kernel):
    """The sum of k * k moved copies of the map, each times its element of the kernel."""
    side, (h, w) = kernel.shape[0], x.shape[1:3]
    pad = side // 2
    rows, columns = stride * ((h - 1) // stride) + 1, stride * ((w - 1) // stride) + 1
    x = jnp.pad(_once(x), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return sum(
        x[:, a : a + rows : stride, b : b + columns : stride] * kernel[a, b, 0]
        for a in range(side)
        for b in range(side)
    )


def _where_it_runs(on_cpu, elsewhere, stride, *arrays):
    """The one place that chooses a form."""
    return jax.lax.platform_dependent(
        *arrays,
        cpu=functools.partial(on_cpu, stride),
        default=functools.partial(elsewhere, stride),
    )


def _forward(x, kernel, stride):
    return depthwise_conv2d(x, kernel, stride), (x, kernel)


def _backward(stride, residuals, cotangent):
    return _where_it_runs(_written_out, _by_xla, stride, *residuals, cotangent)


def _by_xla(stride, x, kernel, cotangent):
    return jax.vjp(functools.partial(grouped, stride), x, kernel)[1](cotangent)


def _written_out(stride, x, kernel, cotangent):
    """The cotangents of x and kernel."""
    x, cotangent = _once(x), _once(cotangent)
    x_bar = shifted(1, _spread(cotangent, stride, x.shape[1:3]), jnp.flip(kernel, (0, 1)))
    return x_bar, _kernel_bar(stride, x, cotangent, kernel.shape[0])


def _spread(x, stride, hw):
    """Puts stride - 1 zeros between the cells, and behind them up to the size hw."""
    if stride == 1:
        return x
    reach = [stride * (cells - 1) + 1 for cells in x.shape[1:3]]
    padding = [(0, size - r, stride - 1) for size, r in zip(hw, reach, strict=True)]
    return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *padding, (0, 0, 0)])


def _kernel_bar(stride, x, cotangent, side):
    """[k, k, 1, C], element by element: a loop compiles and runs faster than k * k sums."""
    (rows, columns), channels, pad = cotangent.shape[1:3], x.shape[-1], side // 2
    # The cells that a stride steps over become axes: each element sees a plain window.
    behind = []
    for cells, size in zip((rows, columns), x.shape[1:3], strict=True):
        needed = stride * -(-(stride * (cells - 1) + side) // stride)
        behind.append(max(needed, pad + size + (pad + size) % stride) - pad - size)
    x = jnp.pad(x, ((0, 0), (pad, behind[0]), (pad, behind[1]), (0, 0)))
    x = x.reshape(x.shape[0], x.shape[1] // stride, stride, x.shape[2] // stride, stride, channels)
    phases = _once(x.transpose(2, 4, 0, 1, 3, 5))
    ones = jnp.ones((1, cotangent.size // channels), x.dtype)

    def element(index):
        a, b = index // side, index % side
        start = (a % stride, b % stride, 0, a // stride, b // stride, 0)
        window = jax.lax.dynamic_slice(phases, start, (1, 1, *cotangent.shape))[0, 0]
        # As a matrix product the sum uses the fast kernels.
        return ones @ _once(window * cotangent).reshape(-1, channels)

    return jax.lax.map(element, jnp.arange(side**2)).reshape(side, side, 1, channels)


_once = jax.lax.optimization_barrier  # its users read it, none computes it again


depthwise_conv2d.defvjp(_forward, _backward)
