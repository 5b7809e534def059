"""ResNet with bottleneck blocks (ResNet paper).

Their stride is in the first 1x1 convolution, as in the paper and in detectron2's models, or in the
3x3 one, as torchvision and timm have it: the same parameters, another network.
"""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import ConvNorm
from sor_jax.ops.coords import inside_each
from sor_jax.ops.pool import max_pool3


@dataclasses.dataclass(frozen=True)
class ResNetSpec:
    """Depths and width of a body.

    Attributes:
      blocks: bottleneck blocks in each of the stages 2..5.
      width: channels of the stem; inside the blocks of stage 2 as many, twice as many with each
        further stage, and four times as many come out of a block.
      stride_in_3x3: whether the 3x3 convolution of a block has its stride, not the first 1x1.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    stride_in_3x3: bool = False


RESNETS = {
    "resnet50_slim": ResNetSpec(width=32),
    "resnet50": ResNetSpec(),
    "resnet101": ResNetSpec((3, 4, 23, 3)),
    "resnet50_v1.5": ResNetSpec(stride_in_3x3=True),
    "resnet101_v1.5": ResNetSpec((3, 4, 23, 3), stride_in_3x3=True),
}


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; ReLU behind each and behind the sum.

    Attributes:
      inner: channels of the first two convolutions; four times as many come out.
      stride: of the shortcut and of one of the first two convolutions.
      stride_in_3x3: of the second, 3x3 one; else of the first.
      norm: "frozen_bn" or "group".
      frozen: whether the convolutions are fixed, in the collection "frozen".
      dtype: what convolutions compute in.
    """

    inner: int
    stride: int = 1
    stride_in_3x3: bool = False
    norm: str = "frozen_bn"
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where_in, where_out):
        """Applies the block.

        Args:
          x: [B, H, W, C].
          where_in, where_out: bool[B, H, W, 1] and bool[B, h, w, 1], the photograph's cells.

        Returns:
          [B, H / stride, W / stride, 4 inner], 0 outside the photograph.
        """
        out, stride = 4 * self.inner, self.stride
        first, second = (1, stride) if self.stride_in_3x3 else (stride, 1)
        unit = functools.partial(ConvNorm, norm=self.norm, frozen=self.frozen, dtype=self.dtype)
        y = unit(self.inner, 1, first, name="unit1")(x, where_out if first > 1 else where_in)
        y = unit(self.inner, 3, second, name="unit2")(y, where_out)
        y = unit(out, activation=None, name="unit3")(y, where_out)
        if x.shape[-1] != out or stride != 1:
            x = unit(out, 1, stride, activation=None, name="shortcut")(x, where_out)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """The body of a ResNet.

    Attributes:
      spec: depths and width.
      norm: "frozen_bn" or "group".
      frozen_stages: the stem counts as 1, stage s as s: the convolutions up to this one are fixed,
        in the collection "frozen"; 0 trains all.
      remat: keep only what goes between blocks, and compute what lies in them again for the
        gradient.
      dtype: what convolutions compute in.
    """

    spec: ResNetSpec
    norm: str = "frozen_bn"
    frozen_stages: int = 2
    remat: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid_hw):
        """Turns images into the maps of the stem and the four stages.

        Args:
          x: f[B, H, W, 3] normalised images, 0 outside the photograph; H and W divide by 32.
          valid_hw: i32[B, 2] size of the photograph inside the padding.

        Returns:
          [stem, stage 2, .. stage 5] with strides 4, 4, 8, 16, 32, 0 outside the photograph.
        """
        spec = self.spec
        wheres = inside_each(valid_hw, x.shape[1:3], (2, 4, 8, 16, 32))
        stem = ConvNorm(
            spec.width,
            7,
            2,
            self.norm,
            frozen=self.frozen_stages >= 1,
            dtype=self.dtype,
            name="stem",
        )
        x = max_pool3(stem(x, wheres[2]), 1)
        maps, at = [jnp.where(wheres[4], x, 0)], 4
        block_type = nn.remat(Bottleneck) if self.remat else Bottleneck
        for i, blocks in enumerate(spec.blocks):
            x = maps[-1]
            for b in range(blocks):
                stride = 2 if i > 0 and b == 0 else 1
                block = block_type(
                    spec.width * 2**i,
                    stride,
                    spec.stride_in_3x3,
                    norm=self.norm,
                    frozen=self.frozen_stages >= i + 2,
                    dtype=self.dtype,
                    name=f"stage{i + 2}_{b + 1}",
                )
                x, at = block(x, wheres[at], wheres[at * stride]), at * stride
            maps.append(x)
        return maps
