"""Feature pyramid: laterals, top-down sum, and coarser levels on top (FPN and FCOS papers)."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, torch_uniform, upsample2
from sor_jax.ops.coords import inside

TOPS = ("convs", "subsample")


class FeaturePyramid(nn.Module):
    """P2 or P3..P5 from the stages of these numbers; every convolution has a bias, none a norm.

    Attributes:
      channels: width of every level.
      top: what lies above P5. "convs": P6 and P7, each a 3x3/2 convolution of the level below, as
        in FCOS; "subsample": P6, every other cell of P5, as in Mask R-CNN.
      dtype: what convolutions compute in.
    """

    channels: int = 256
    top: str = "convs"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, stages, valid_hw):
        """Builds the pyramid.

        Args:
          stages: the last of them stage 5, of strides .. 16, 32, [B, H / s, W / s, C].
          valid_hw: i32[B, 2] size of the photograph inside the padding.

        Returns:
          One level a stage and those on top, fine to coarse, of strides s, [B, ceil(H / s),
          ceil(W / s), channels], 0 outside the photograph.

        Raises:
          ValueError: `top` is none of TOPS.
        """
        if self.top not in TOPS:
            raise ValueError(f"top is {self.top!r}; expected one of {TOPS}")
        merged, levels = None, []
        for k in range(5, 5 - len(stages), -1):
            x = self._conv(stages[k - 5 - 1], 1, f"lateral{k}")
            merged = x if merged is None else x + upsample2(merged)
            merged = _cut(merged, valid_hw, k)
            levels.insert(0, _cut(self._conv(merged, 3, f"output{k}"), valid_hw, k))
        if self.top == "subsample":
            return [*levels, levels[-1][:, ::2, ::2]]
        p6 = _cut(self._conv(levels[-1], 3, "p6", stride=2), valid_hw, 6)
        p7 = _cut(self._conv(nn.relu(p6), 3, "p7", stride=2), valid_hw, 7)
        return [*levels, p6, p7]

    def _conv(self, x, kernel, name, *, stride=1):
        layer = Conv(
            self.channels,
            kernel,
            stride,
            kernel_init=torch_uniform(3.0),
            dtype=self.dtype,
            name=name,
        )
        return layer(x)


def _cut(x, valid_hw, level):
    return jnp.where(inside(valid_hw, x.shape[1:3], 2**level), x, 0)
