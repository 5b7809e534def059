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

        def conv(x, kernel, name, *, stride=1):
            layer = Conv(
                self.channels,
                kernel,
                stride,
                kernel_init=torch_uniform(3.0),
                dtype=self.dtype,
                name=name,
            )
            return layer(x)

        def cut(x, stride):
            return jnp.where(inside(image_hw, x.shape[1:3], stride), x, 0)

        c3, c4, c5 = stages
        top5 = cut(conv(c5, 1, "lateral5"), 32)
        top4 = cut(conv(c4, 1, "lateral4") + upsample2(top5), 16)
        top3 = cut(conv(c3, 1, "lateral3") + upsample2(top4), 8)
        p3 = cut(conv(top3, 3, "output3"), 8)
        p4 = cut(conv(top4, 3, "output4"), 16)
        p5 = cut(conv(top5, 3, "output5"), 32)
        p6 = cut(conv(p5, 3, "p6", stride=2), 64)
        p7 = cut(conv(nn.relu(p6), 3, "p7", stride=2), 128)
        return [p3, p4, p5, p6, p7]
