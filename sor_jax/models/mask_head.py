"""The spatial-attention-guided mask head and the mask IoU head (CenterMask and MS R-CNN papers)."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, Dense, kaiming_fan_out, normal
from sor_jax.ops.channels import add_bias
from sor_jax.ops.conv import conv2d


class MaskHead(nn.Module):
    """Mask logits of a region.

    Attributes:
      channels: width of the convolutions.
      depth: convolutions before the attention.
      spatial_attention: SAG, weighs the cells by mean and maximum over the channels.
      dtype: what convolutions compute in.
    """

    channels: int = 256
    depth: int = 4
    spatial_attention: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[B, R, S, S, C] -> logits f32[B, R, 2S, 2S]."""
        for i in range(self.depth):
            x = nn.relu(Conv(self.channels, dtype=self.dtype, name=f"conv{i + 1}")(x))
        if self.spatial_attention:
            pooled = [jnp.mean(x, axis=-1, keepdims=True), jnp.max(x, axis=-1, keepdims=True)]
            conv = Conv(1, use_bias=False, dtype=self.dtype, name="attention")
            x = x * nn.sigmoid(conv(jnp.concatenate(pooled, axis=-1)))
            self.sow("intermediates", "attended", x)
        x = nn.relu(Deconv2(self.channels, dtype=self.dtype, name="deconv")(x))
        x = Conv(1, 1, kernel_init=normal(0.001), dtype=self.dtype, name="predictor")(x)
        return x[..., 0].astype(jnp.float32)


class Deconv2(nn.Module):
    """2x2/2 transposed convolution: out[2i + a, 2j + b] = kernel[a, b] x[i, j].

    Its windows do not overlap, so it is a 1x1 convolution and a reshape: on a CPU the gradient is
    some hundred times faster than that of a general transposed convolution.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x):
        """[..., H, W, C] -> [..., 2H, 2W, features]."""
        *lead, h, w, c = x.shape
        kernel = self.param("kernel", kaiming_fan_out(), (2, 2, c, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        # Each cell's four results as channels, a, b and feature.
        wide = kernel.astype(self.dtype).transpose(2, 0, 1, 3).reshape(1, 1, c, -1)
        y = conv2d(x.astype(self.dtype).reshape(-1, h, w, c), wide)
        y = y.reshape(-1, h, w, 2, 2, self.features).swapaxes(2, 3)
        y = add_bias(y.reshape(-1, 2 * h, 2 * w, self.features), bias.astype(self.dtype))
        return y.reshape(*lead, *y.shape[1:])


class MaskIouHead(nn.Module):
    """Predicts the IoU of a region's mask with the object.

    Attributes:
      channels: width of the convolutions; the last of them has stride 2.
      depth: number of convolutions.
      hidden: width of the two fully connected layers.
      dtype: what layers compute in, but the last: the IoU is float32.
    """

    channels: int = 256
    depth: int = 4
    hidden: int = 1024
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Makes the layers, each under the name that its parameters have."""
        for i in range(self.depth):
            stride = 2 if i == self.depth - 1 else 1
            setattr(self, f"conv{i + 1}", Conv(self.channels, stride=stride, dtype=self.dtype))
        for i in range(2):
            setattr(self, f"fc{i + 1}", Dense(self.hidden, dtype=self.dtype))
        self.iou = Dense(1, kernel_init=normal(0.01), dtype=jnp.float32)

    def __call__(self, x, mask_prob):
        """[B, R, S, S, C], probabilities f32[B, R, 2S, 2S] -> IoU f32[B, R]: `maps`, `score`."""
        return self.score(self.maps(x, mask_prob))

    def maps(self, x, mask_prob):
        """The convolutions, flat: [B, R, ..]."""
        mask = nn.max_pool(mask_prob[..., None], (2, 2), (2, 2)).astype(x.dtype)
        x = jnp.concatenate([x, mask], axis=-1)
        for i in range(self.depth):
            x = nn.relu(getattr(self, f"conv{i + 1}")(x))
        return x.reshape(*x.shape[:-3], -1)

    def score(self, x):
        """The fully connected layers: what `maps` gives -> IoU f32[B, R]."""
        for i in range(2):
            x = nn.relu(getattr(self, f"fc{i + 1}")(x))
        return self.iou(x)[..., 0]
