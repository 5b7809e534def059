"""Convolutions, norms and starting values that all parts of the model share.

Kernels are HWIO; every 3x3 convolution pads one cell on all four sides, at stride 2 too. Norms
have epsilon 1e-5. Parameters are float32, the convolutions compute in `dtype`.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from sor_jax.ops.channels import add_bias, channel_sums, spread
from sor_jax.ops.conv import conv2d
from sor_jax.ops.dense import dense
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
    """A convolution with k // 2 cells of padding on every side and our faster gradients.

    Not flax's: the gradient of its bias is a reduction that takes 24 times as long on a CPU.

    Attributes:
      features: output channels.
      kernel: side of the kernel.
      stride: step in both axes.
      kernel_init: starting values of the kernel; None for kaiming_fan_out.
      bias_init: those of the bias.
      use_bias: whether there is one.
      feature_group_count: 1, or the input's channels: a convolution of each channel alone.
      frozen: the kernel is not trained: it lies in the collection "frozen", outside "params".
      dtype: what it computes in.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    kernel_init: nn.initializers.Initializer | None = None
    bias_init: nn.initializers.Initializer = nn.initializers.zeros
    use_bias: bool = True
    feature_group_count: int = 1
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[.., H, W, C] -> [.., ceil(H / stride), ceil(W / stride), features]."""
        shape = (self.kernel, self.kernel, x.shape[-1] // self.feature_group_count, self.features)
        init, lead = self.kernel_init or kaiming_fan_out(), x.shape[:-3]
        if self.frozen:
            start = functools.partial(init, shape=shape, dtype=jnp.float32)
            kernel = self.variable("frozen", "kernel", lambda: start(self.make_rng("params"))).value
        else:
            kernel = self.param("kernel", init, shape, jnp.float32)
        convolve = depthwise_conv2d if self.feature_group_count > 1 else conv2d
        x = x.astype(self.dtype).reshape(-1, *x.shape[-3:])
        y = convolve(x, kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
            y = add_bias(y, bias.astype(self.dtype))
        return y.reshape(*lead, *y.shape[1:])


# flax's, with the starting values that the original's layers have and our faster gradient.
Dense = functools.partial(
    nn.Dense,
    kernel_init=kaiming_fan_out(),
    dot_general=lambda x, kernel, *_, **__: dense(x, kernel),
)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics, scale and shift are all fixed.

    Its arrays live in the collection "frozen", outside "params": they come from a checkpoint and
    are never trained. Without one they are the identity.

    It computes in float32, whatever it is given.

    Attributes:
      dtype: of the result.
      epsilon: what the variance is raised by.
    """

    dtype: jnp.dtype = jnp.float32
    epsilon: float = EPSILON

    @nn.compact
    def __call__(self, x, where=None):
        """Scales and shifts each channel of x [..., C].

        `where`, the cells that a group norm reads, plays no part.
        """
        shape = (x.shape[-1],)
        scale = self.variable("frozen", "scale", jnp.ones, shape).value
        bias = self.variable("frozen", "bias", jnp.zeros, shape).value
        mean = self.variable("frozen", "mean", jnp.zeros, shape).value
        var = self.variable("frozen", "var", jnp.ones, shape).value
        factor = scale * jax.lax.rsqrt(var + self.epsilon)
        return (x.astype(jnp.float32) * factor + (bias - mean * factor)).astype(self.dtype)


class GroupNorm(nn.Module):
    """Group norm over the photograph's cells and the channels of a group, one image at a time.

    Not flax's, which wants the mask once a channel and takes 1.2 times as long on a CPU.

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
            """Means of each group, repeated for its channels, [B, C]."""
            total = channel_sums(jnp.where(where, values, 0))
            mean = jnp.sum(total.reshape(-1, groups, size), axis=-1) / count
            return jnp.repeat(mean, size, axis=-1)

        y = y - spread(group_mean(y), x.shape[1:3])
        factor = jax.lax.rsqrt(group_mean(jnp.square(y)) + EPSILON) * scale
        y = add_bias(y * spread(factor, x.shape[1:3]), bias)
        return y.astype(self.dtype)


def norm_layer(kind: str, dtype: jnp.dtype, name: str, epsilon: float = EPSILON) -> nn.Module:
    """The backbone's norm: "frozen_bn" (needs loaded weights) or "group" (from scratch).

    `epsilon` is that of the batch norm that the weights were trained with. Raises ValueError for
    another kind.
    """
    if kind == "frozen_bn":
        return FrozenBatchNorm(dtype=dtype, epsilon=epsilon, name=name)
    if kind == "group":
        return GroupNorm(dtype=dtype, name=name)
    raise ValueError(f"norm is {kind!r}; expected 'frozen_bn' or 'group'")


class ConvNorm(nn.Module):
    """Convolution without bias, norm, activation; what lies outside the photograph becomes 0.

    Attributes:
      features: output channels; 0 is a convolution of each channel alone, of the side `kernel`.
      kernel, stride, kernel_init, frozen: of the convolution, see Conv.
      norm, epsilon: the kind of norm, "frozen_bn" or "group", and its epsilon, see norm_layer.
      activation: None for none.
      separable: a convolution of each channel alone, then a 1x1 one.
      tensorflow: whether a stride of 2 pads as TensorFlow does at even sides, a cell less in front.
      dtype: what the convolution computes in.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    norm: str = "frozen_bn"
    activation: Callable | None = nn.relu
    kernel_init: nn.initializers.Initializer | None = None
    frozen: bool = False
    separable: bool = False
    tensorflow: bool = False
    epsilon: float = EPSILON
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """[B, H, W, C], bool[B, h, w, 1] of the result's size -> [B, h, w, features or C]."""
        conv = functools.partial(Conv, use_bias=False, dtype=self.dtype)
        init = {"kernel_init": self.kernel_init, "frozen": self.frozen}
        if self.separable or not self.features:
            c, alone = x.shape[-1], torch_uniform()
            layer = conv(
                c,
                self.kernel,
                self.stride,
                kernel_init=alone,
                feature_group_count=c,
                name="depthwise",
            )
        else:
            layer = conv(self.features, self.kernel, self.stride, **init, name="conv")
        if self.tensorflow and self.stride == 2:
            x = layer(jnp.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0))))[:, 1:, 1:]
        else:
            x = layer(x)
        if self.separable:
            x = conv(self.features, 1, **init, name="pointwise")(x)
        name = "pointwise_norm" if self.separable else "norm"
        x = norm_layer(self.norm, self.dtype, name=name, epsilon=self.epsilon)(x, where)
        return jnp.where(where, self.activation(x) if self.activation else x, 0)


def upsample2(x):
    """Nearest neighbour: [B, H, W, C] -> [B, 2H, 2W, C]."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
