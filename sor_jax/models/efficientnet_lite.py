"""EfficientNet-Lite: inverted residuals with ReLU6 and no squeeze-and-excitation.

Source: EfficientNet (ICML 2019) and the definition that its authors published of the Lite models.
Strides pad as TensorFlow does, which the published weights were trained with: at even sides one
cell more at the right and below.

What a pyramid takes are the widened maps in front of each stride and the last one of all, as
SSDLite does (MobileNetV2 paper): bounded by ReLU6, where a block's own output has no activation
and is ten times as large as a freshly started head expects.
"""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import ConvNorm, Dense, normal
from sor_jax.ops.channels import channel_sums
from sor_jax.ops.coords import inside, inside_each

EPSILON = 1e-3  # of the batch norms that the published weights were trained with


@dataclasses.dataclass(frozen=True)
class StageSpec:
    """A stage of inverted residual blocks.

    Attributes:
      blocks: how many; the first has the stride and does not add its input.
      kernel: side of the depthwise kernels.
      stride: of the first block.
      expand: how many times wider the inside of a block is than its input.
      out: channels that a block puts out.
    """

    blocks: int
    kernel: int
    stride: int
    expand: int
    out: int


@dataclasses.dataclass(frozen=True)
class LiteSpec:
    """Widths and depths of a body.

    Attributes:
      stem: channels of the first convolution, of stride 2.
      stages: of blocks; four of them have stride 2.
      head: channels of the 1x1 convolution after the last stage.
    """

    stem: int
    stages: tuple[StageSpec, ...]
    head: int = 1280


def _spec(blocks, out) -> LiteSpec:
    """What the published models share; they differ in how deep and wide their stages are."""
    kernels, strides, expand = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, *6 * (6,))
    stages = zip(blocks, kernels, strides, expand, out, strict=True)
    return LiteSpec(stem=32, stages=tuple(StageSpec(*stage) for stage in stages))


EFFICIENTNET_LITES = {
    "efficientnet_lite0": _spec((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite1": _spec((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320)),
    "efficientnet_lite2": _spec((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352)),
}


class InvertedResidual(nn.Module):
    """1x1 to a wider map, a depthwise convolution, 1x1 to `out` channels without activation.

    Attributes:
      expand: factor of the wider map; 1 leaves the first convolution out.
      kernel, stride: of the depthwise convolution.
      out: channels of the result.
      identity: whether the input is added to the result.
    """

    expand: int
    kernel: int
    stride: int
    out: int
    identity: bool
    norm: str = "frozen_bn"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where_in, where_out):
        """Applies the block.

        Args:
          x: [B, H, W, C].
          where_in, where_out: bool[B, H, W, 1] and bool[B, h, w, 1], the photograph's cells.

        Returns:
          ([B, h, w, out], the widened input [B, H, W, expand * C]).
        """
        unit = _unit(self)
        wide = x
        if self.expand > 1:
            wide = unit(self.expand * x.shape[-1], name="expand")(x, where_in)
        y = unit(0, self.kernel, self.stride, name="depthwise")(wide, where_out)
        y = unit(self.out, activation=None, name="project")(y, where_out)
        return (x + y if self.identity else y), wide


class EfficientNetLite(nn.Module):
    """The body: all but the classifier.

    Attributes:
      spec: widths and depths.
      norm: "frozen_bn" or "group".
      remat: keep only what goes between blocks, and compute what lies in them again for the
        gradient.
      dtype: what convolutions compute in.
    """

    spec: LiteSpec
    norm: str = "frozen_bn"
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid_hw):
        """Turns images into one map of each stride.

        Args:
          x: f[B, H, W, 3] normalised images, 0 outside the photograph; H and W divide by 32.
          valid_hw: i32[B, 2] size of the photograph inside the padding.

        Returns:
          maps of strides 2, 4, 8, 16, 32, [B, H / s, W / s, C], 0 outside the photograph.
        """
        wheres = inside_each(valid_hw, x.shape[1:3], (2, 4, 8, 16, 32))
        block_type = nn.remat(InvertedResidual) if self.remat else InvertedResidual
        unit = _unit(self)
        x, stride, number, maps = unit(self.spec.stem, 3, 2, name="stem")(x, wheres[2]), 2, 0, []
        for stage in self.spec.stages:
            for b in range(stage.blocks):
                step = stage.stride if b == 0 else 1
                block = block_type(
                    stage.expand,
                    stage.kernel,
                    step,
                    stage.out,
                    identity=b > 0,
                    norm=self.norm,
                    dtype=self.dtype,
                    name=f"block_{number}",
                )
                x, wide = block(x, wheres[stride], wheres[stride * step])
                maps += [wide] * (step == 2)
                stride, number = stride * step, number + 1
        return [*maps, unit(self.spec.head, name="head")(x, wheres[32])]


class Classifier(nn.Module):
    """The whole network that was trained on ImageNet.

    Attributes:
      spec: widths and depths.
      classes: how many.
      dtype: what layers compute in.
    """

    spec: LiteSpec
    classes: int = 1000
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid_hw):
        """Images f[B, H, W, 3], valid_hw i32[B, 2] -> class logits f32[B, classes]."""
        x = EfficientNetLite(self.spec, dtype=self.dtype, name="backbone")(x, valid_hw)[-1]
        cells = jnp.sum(inside(valid_hw, x.shape[1:3], 32), (1, 2))
        mean = channel_sums(x) / cells
        classes = Dense(self.classes, kernel_init=normal(0.01), dtype=self.dtype, name="classes")
        return classes(mean).astype(jnp.float32)


def _unit(module):
    """The ConvNorm of a block or body, with its norm and dtype."""
    published = {"activation": nn.relu6, "tensorflow": True, "epsilon": EPSILON}
    return functools.partial(ConvNorm, norm=module.norm, dtype=module.dtype, **published)
