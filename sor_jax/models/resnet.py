"""ResNet with bottleneck blocks, the stride in their first convolution (ResNet paper)."""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, max_pool3, norm_layer
from sor_jax.ops.coords import inside_each


@dataclasses.dataclass(frozen=True)
class ResNetSpec:
    """Depths and width of a body.

    Attributes:
      blocks: bottleneck blocks in each of the stages 2..5.
      width: channels of the stem; inside the blocks of stage 2 as many, twice as many with each
        further stage, and four times as many come out of a block.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64


RESNETS = {
    "resnet50_slim": ResNetSpec(width=32),
    "resnet50": ResNetSpec(),
    "resnet101": ResNetSpec((3, 4, 23, 3)),
}


class ConvNorm(nn.Module):
    """Convolution without bias, then the norm.

    Attributes:
      features, kernel, stride, dtype: as of Conv.
      norm: "frozen_bn" or "group".
      frozen: the kernel is not trained.
    """

    features: int
    kernel: int = 1
    stride: int = 1
    norm: str = "frozen_bn"
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """[B, H, W, C], bool[B, h, w, 1] of the result's size -> [B, h, w, features]."""
        x = Conv(
            self.features,
            self.kernel,
            self.stride,
            use_bias=False,
            frozen=self.frozen,
            dtype=self.dtype,
            name="conv",
        )(x)
        return norm_layer(self.norm, self.dtype, name="norm")(x, where)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; ReLU behind each and behind the sum.

    Attributes:
      inner: channels of the first two convolutions; four times as many come out.
      stride: of the first convolution and of the shortcut.
      norm, frozen, dtype: as of ConvNorm.
    """

    inner: int
    stride: int = 1
    norm: str = "frozen_bn"
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """[B, H, W, C] -> [B, H / stride, W / stride, 4 inner], 0 outside the photograph."""
        out = 4 * self.inner
        unit = functools.partial(ConvNorm, norm=self.norm, frozen=self.frozen, dtype=self.dtype)
        y = _relu(unit(self.inner, 1, self.stride, name="unit1")(x, where), where)
        y = _relu(unit(self.inner, 3, name="unit2")(y, where), where)
        y = unit(out, 1, name="unit3")(y, where)
        if x.shape[-1] != out or self.stride != 1:
            x = unit(out, 1, self.stride, name="shortcut")(x, where)
        return _relu(x + y, where)


class ResNet(nn.Module):
    """The body of a ResNet.

    Attributes:
      spec: depths and width.
      norm: "frozen_bn" or "group".
      frozen_stages: the stem counts as 1, stage s as s: the convolutions up to this one are fixed,
        in the collection "frozen"; 0 trains all.
      remat: as of VoVNet.
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
        layer = functools.partial(ConvNorm, norm=self.norm, dtype=self.dtype)
        frozen = self.frozen_stages >= 1
        x = layer(spec.width, 7, 2, frozen=frozen, name="stem")(x, wheres[2])
        maps = [jnp.where(wheres[4], max_pool3(_relu(x, wheres[2]), before=1), 0)]
        block_type = nn.remat(Bottleneck) if self.remat else Bottleneck
        for i, blocks in enumerate(spec.blocks):
            x = maps[-1]
            for b in range(blocks):
                x = block_type(
                    spec.width * 2**i,
                    2 if i > 0 and b == 0 else 1,
                    norm=self.norm,
                    frozen=self.frozen_stages >= i + 2,
                    dtype=self.dtype,
                    name=f"stage{i + 2}_{b + 1}",
                )(x, wheres[2 ** (i + 2)])
            maps.append(x)
        return maps


def _relu(x, where):
    return jnp.where(where, nn.relu(x), 0)
