"""The two detecting heads of Faster R-CNN: region proposals, and the boxes of regions."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, Dense, normal, torch_uniform
from sor_jax.structures import AnchorOutputs, RegionBoxes


class RpnHead(nn.Module):
    """The region proposal network, shared over the levels (Faster R-CNN paper, section 3.1).

    Attributes:
      channels: width of its 3x3 convolution.
      ratios: anchors of a cell.
      dtype: what the 3x3 convolution computes in; the 1x1 ones are float32.
    """

    channels: int = 256
    ratios: int = 3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels) -> AnchorOutputs:
        """List of [B, h, w, C], fine to coarse -> AnchorOutputs [B, A], float32."""

        def conv(features, kernel, name, dtype=jnp.float32):
            return Conv(features, kernel, kernel_init=normal(0.01), dtype=dtype, name=name)

        trunk = conv(self.channels, 3, "conv", self.dtype)
        to_objectness = conv(self.ratios, 1, "objectness")
        to_delta = conv(4 * self.ratios, 1, "delta")  # of ratio a: channels 4a .. 4a + 3
        logits, deltas = [], []
        for level in levels:
            x = nn.relu(trunk(level))
            logits.append(to_objectness(x).reshape(x.shape[0], -1))
            deltas.append(to_delta(x).reshape(x.shape[0], -1, 4))
        return AnchorOutputs(jnp.concatenate(logits, axis=1), jnp.concatenate(deltas, axis=1))


class BoxHead(nn.Module):
    """Class and box of a region by two fully connected layers (FPN paper, section 4.2).

    Attributes:
      hidden: their width.
      dtype: what they compute in; the two outputs are float32.
    """

    hidden: int = 1024
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x) -> RegionBoxes:
        """Pooled regions x [B, R, S, S, C] -> RegionBoxes [B, R], float32."""
        x = x.reshape(*x.shape[:-3], -1)
        for i in range(2):
            init = torch_uniform(3.0)
            layer = Dense(self.hidden, kernel_init=init, dtype=self.dtype, name=f"fc{i + 1}")
            x = nn.relu(layer(x))
        logit = Dense(2, kernel_init=normal(0.01), dtype=jnp.float32, name="class_logit")(x)
        delta = Dense(4, kernel_init=normal(0.001), dtype=jnp.float32, name="delta")(x)
        return RegionBoxes(logit, delta)
