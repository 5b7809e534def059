"""VoVNetV2: one-shot aggregation with effective squeeze-and-excitation (CenterMask paper)."""

import dataclasses
import functools

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import ConvNorm, bias_uniform, torch_uniform
from sor_jax.ops.channels import channel_sums, spread
from sor_jax.ops.coords import inside_each
from sor_jax.ops.pool import max_pool3


@dataclasses.dataclass(frozen=True)
class VoVNetSpec:
    """Widths and depths of a body; one entry per stage 2..5.

    Attributes:
      conv: channels of the 3x3 convolutions of a block.
      out: channels that a block puts out.
      layers: 3x3 convolutions in a block.
      blocks: blocks in each stage.
      stem: channels of the three convolutions before stage 2.
      depthwise: each 3x3 convolution but the first is a depthwise one and a 1x1 one.
    """

    conv: tuple[int, ...] = (128, 160, 192, 224)
    out: tuple[int, ...] = (256, 512, 768, 1024)
    layers: int = 5
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    stem: tuple[int, int, int] = (64, 64, 128)
    depthwise: bool = False


_19 = VoVNetSpec(layers=3, blocks=(1, 1, 1, 1))
_19_SLIM = dataclasses.replace(_19, conv=(64, 80, 96, 112), out=(112, 256, 384, 512))
VOVNETS = {
    "vovnet19_slim_dw": dataclasses.replace(_19_SLIM, stem=(64, 64, 64), depthwise=True),
    "vovnet19_slim": _19_SLIM,
    "vovnet19_dw": dataclasses.replace(_19, stem=(64, 64, 64), depthwise=True),
    "vovnet19": _19,
    "vovnet39": VoVNetSpec(),
    "vovnet57": VoVNetSpec(blocks=(1, 1, 4, 3)),
}


class SqueezeExcite(nn.Module):
    """eSE: x * hard_sigmoid(fc(mean of x over the photograph))."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """[B, H, W, C] with zeros outside the photograph -> the same shape."""
        channels = x.shape[-1]
        count = jnp.maximum(jnp.sum(where, axis=(1, 2), dtype=jnp.float32), 1)
        mean = channel_sums(x) / count
        kernel = self.param("kernel", torch_uniform(), (channels, channels))
        bias = self.param("bias", bias_uniform(channels), (channels,))
        gate = nn.relu6(mean @ kernel + bias + 3.0) / 6.0
        return x * spread(gate.astype(x.dtype), x.shape[1:3])


class OsaBlock(nn.Module):
    """A chain of 3x3 convolutions, all of whose outputs are aggregated once.

    Attributes:
      conv: channels of the 3x3 convolutions.
      out: channels of the result.
      layers: 3x3 convolutions in the chain.
      identity: whether the input is added to the result.
      depthwise: each 3x3 convolution but the first is a depthwise one and a 1x1 one; the chain then
        starts with a 1x1 convolution to its width.
    """

    conv: int
    out: int
    layers: int
    identity: bool
    norm: str = "frozen_bn"
    depthwise: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, where):
        """x [B, H, W, C], where bool[B, H, W, 1] inside the photograph -> [B, H, W, out]."""
        unit = _unit(self)
        outputs, y = [x], x
        if self.depthwise and x.shape[-1] != self.conv:
            y = unit(self.conv, name="reduction")(y, where)
        for i in range(self.layers):
            y = unit(self.conv, 3, separable=self.depthwise, name=f"layer_{i}")(y, where)
            outputs.append(y)
        y = jnp.concatenate(outputs, axis=-1)
        y = unit(self.out, name="concat")(y, where)
        y = SqueezeExcite(dtype=self.dtype, name="ese")(y, where)
        return x + y if self.identity else y


class VoVNet(nn.Module):
    """The body of VoVNetV2.

    Attributes:
      spec: widths and depths.
      norm: "frozen_bn" or "group".
      remat: keep only what goes between blocks, and compute what lies in them again for the
        gradient.
      dtype: what convolutions compute in.
    """

    spec: VoVNetSpec
    norm: str = "frozen_bn"
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
        spec, unit = self.spec, _unit(self)
        wheres = inside_each(valid_hw, x.shape[1:3], (2, 4, 8, 16, 32))
        for i, (features, stride, at) in enumerate(
            zip(spec.stem, (2, 1, 2), (2, 2, 4), strict=True)
        ):
            separable, name = spec.depthwise and i > 0, f"stem_{i + 1}"
            x = unit(features, 3, stride, separable=separable, name=name)(x, wheres[at])
        maps = [x]
        block_type = nn.remat(OsaBlock) if self.remat else OsaBlock
        for i, blocks in enumerate(spec.blocks):
            x = maps[-1] if i == 0 else max_pool3(maps[-1])
            for b in range(blocks):
                block = block_type(
                    spec.conv[i],
                    spec.out[i],
                    spec.layers,
                    identity=b > 0,
                    norm=self.norm,
                    depthwise=spec.depthwise,
                    dtype=self.dtype,
                    name=f"stage{i + 2}_{b + 1}",
                )
                x = block(x, wheres[2 ** (i + 2)])
            maps.append(x)
        return maps


def _unit(module):
    """The ConvNorm of a block or body, with its norm and dtype."""
    init = torch_uniform()
    return functools.partial(ConvNorm, norm=module.norm, kernel_init=init, dtype=module.dtype)
