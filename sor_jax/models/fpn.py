"""Feature pyramid P3..P7: laterals, top-down sum, and two levels more by stride (FCOS paper)."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, torch_uniform, upsample2
from sor_jax.ops.coords import inside


class FeaturePyramid(nn.Module):
    """P3..P5 from stages 3..5, P6 and P7 from P5; every convolution has a bias, none a norm.

    Attributes:
      channels: width of every level.
      dtype: what convolutions compute in.
    """

    channels: int = 256
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, stages, image_hw):
        """Builds the pyramid.

        Args:
          stages: maps of strides 8, 16, 32, [B, H / s, W / s, C].
          image_hw: i32[B, 2] size of the photograph inside the padding.

        Returns:
          [P3, .. P7] of strides 8 .. 128, [B, ceil(H / s), ceil(W / s), channels], 0 outside the
          photograph.
        """

        def conv(x, kernel, name, *, at, stride=1):
            layer = Conv(
                self.channels,
                kernel,
                stride,
                kernel_init=torch_uniform(3.0),
                dtype=self.dtype,
                name=name,
            )
            x = layer(x)
            return jnp.where(inside(image_hw, x.shape[1:3], at), x, 0)

        strides = (8, 16, 32)
        laterals = [
            conv(x, 1, f"lateral{i + 3}", at=s)
            for i, (x, s) in enumerate(zip(stages, strides, strict=True))
        ]
        levels = []
        for i in (2, 1, 0):
            top = laterals[i] if i == 2 else laterals[i] + upsample2(top)
            top = jnp.where(inside(image_hw, top.shape[1:3], strides[i]), top, 0)
            levels.insert(0, conv(top, 3, f"output{i + 3}", at=strides[i]))
        levels.append(conv(levels[2], 3, "p6", at=64, stride=2))
        levels.append(conv(nn.relu(levels[3]), 3, "p7", at=128, stride=2))
        return levels
