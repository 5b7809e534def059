"""Convolutions, norms and starting values that all parts of the model share.

Kernels are HWIO; every 3x3 convolution pads one cell on all four sides, at stride 2 too. Norms
have epsilon 1e-5. Parameters are float32, the convolutions compute in `dtype`.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from sor_jax.ops.conv import conv2d
from sor_jax.ops.depthwise import depthwise_conv2d

EPSILON = 1e-5


def torch_uniform(gain: float = 1.0):
    """U(+-sqrt(gain / fan_in)): gain 1 is torch's default for convolutions, 3 is Caffe's Xavier."""
    return nn.initializers.variance_scaling(gain / 3.0, "fan_in", "uniform")


def kaiming_fan_out():
    """Normal with standard deviation sqrt(2 / fan_out)."""
    return nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def normal(std: float):
    """Normal with the given standard deviation."""
    return nn.initializers.normal(std)


def bias_uniform(fan_in: int):
    """U(+-1 / sqrt(fan_in)), torch's default for biases."""

    def init(key, shape, dtype=jnp.float32):
        bound = 1.0 / math.sqrt(fan_in)
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class Conv(nn.Module):
    """A k x k convolution with k // 2 cells of padding on every side.

    Attributes:
      features: output channels.
      kernel: side of the kernel.
      stride: step in both axes.
      use_bias: whether a bias is added.
      kernel_init: starting values of the kernel; None for kaiming_fan_out.
      bias_init: starting values of the bias.
      frozen: the kernel is not trained: it lies in the collection "frozen", outside "params".
      dtype: what the convolution computes in.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[..., H, W, C] -> [..., ceil(H / stride), ceil(W / stride), features] in `dtype`."""
        kernel = self._kernel((self.kernel, self.kernel, x.shape[-1], self.features))
        lead = x.shape[:-3]
        x = x.reshape((-1, *x.shape[-3:])).astype(self.dtype)
        x = conv2d(x, kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            x = x + self.param("bias", self.bias_init, (self.features,)).astype(self.dtype)
        return x.reshape((*lead, *x.shape[1:]))

    def _kernel(self, shape):
        init = self.kernel_init or kaiming_fan_out()
        if not self.frozen:
            return self.param("kernel", init, shape)
        return self.variable("frozen", "kernel", lambda: init(self.make_rng("params"), shape)).value


class DepthwiseConv(nn.Module):
    """A k x k convolution of each channel alone, without bias, k // 2 cells of padding.

    Attributes:
      stride: step in both axes.
      kernel: side of the kernel.
      dtype: what the convolution computes in.
    """

    stride: int = 1
    kernel: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), C] in `dtype`."""
        shape = (self.kernel, self.kernel, 1, x.shape[-1])
        kernel = self.param("kernel", torch_uniform(), shape)
        return depthwise_conv2d(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics, scale and shift are all fixed.

    Its arrays live in the collection "frozen", outside "params": they come from a checkpoint and
    are never trained. Without one they are the identity.

    Attributes:
      dtype: of the result.
      epsilon: what the variance is raised by.
    """

    dtype: jnp.dtype = jnp.float32
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, x, where=None):
        """Scales and shifts each channel of [..., C]; `where` (as of GroupNorm) plays no part."""
        shape = (x.shape[-1],)
        scale = self.variable("frozen", "scale", jnp.ones, shape).value
        bias = self.variable("frozen", "bias", jnp.zeros, shape).value
        mean = self.variable("frozen", "mean", jnp.zeros, shape).value
        var = self.variable("frozen", "var", jnp.ones, shape).value
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        return x * factor.astype(self.dtype) + (bias - mean * factor).astype(self.dtype)


class GroupNorm(nn.Module):
    """Group norm over the photograph's cells and the channels of a group, one image at a time.

    Attributes:
      groups: at most this many groups; fewer where the channels do not divide.
      dtype: of the result; the statistics are float32.
    """

    groups: int = 32
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """Normalises [B, H, W, C] by the cells that are True in bool[B, H, W, 1]."""
        channels = x.shape[-1]
        groups = math.gcd(self.groups, channels)
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        size = channels // groups
        count = jnp.maximum(jnp.sum(where, axis=(1, 2)), 1) * size
        y = x.astype(jnp.float32)

        def group_mean(values):
            """Means of each group, repeated for its channels, [B, 1, 1, C]."""
            total = jnp.sum(jnp.where(where, values, 0), axis=(1, 2))
            mean = jnp.sum(total.reshape(-1, groups, size), axis=-1) / count
            return jnp.repeat(mean, size, axis=-1)[:, None, None]

        y = y - group_mean(y)
        factor = jax.lax.rsqrt(group_mean(jnp.square(y)) + EPSILON) * scale
        return (y * factor + bias).astype(self.dtype)


class Dense(nn.Module):
    """A fully connected layer over the last axis.

    Attributes: as of Conv.
    """

    features: int
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[..., C] -> [..., features]."""
        kernel = self.param(
            "kernel", self.kernel_init or kaiming_fan_out(), (x.shape[-1], self.features)
        )
        bias = self.param("bias", self.bias_init, (self.features,))
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)


def norm_layer(kind: str, dtype: jnp.dtype, name: str, epsilon: float = EPSILON) -> nn.Module:
    """The backbone's norm: "frozen_bn" (needs loaded weights) or "group" (from scratch).

    `epsilon` is that of the batch norm that the weights were trained with.
    """
    if kind == "frozen_bn":
        return FrozenBatchNorm(dtype=dtype, epsilon=epsilon, name=name)
    if kind == "group":
        return GroupNorm(dtype=dtype, name=name)
    raise ValueError(f"norm is {kind!r}; expected 'frozen_bn' or 'group'")


def upsample2(x):
    """Nearest neighbour: [B, H, W, C] -> [B, 2H, 2W, C]."""
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return x.reshape(b, 2 * h, 2 * w, c)


def max_pool2(x):
    """2x2/2 max pool of [..., H, W, C] with even H and W."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h // 2, 2, w // 2, 2, c).max(axis=(-4, -2))


def max_pool3(x, *, before: int = 0):
    """3x3/2 max pool, padded by `before` cells in front and one behind.

    [B, H, W, C] with even H and W -> [B, H / 2, W / 2, C]. Without cells in front it is a pool
    without padding in ceil mode.
    """
    padding = ((0, 0), (before, 1), (before, 1), (0, 0))
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)
