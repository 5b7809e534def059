"""The FCOS head: class, box and centerness at every point of every level (FCOS paper)."""

import math

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.layers import Conv, GroupNorm, normal
from sor_jax.ops.coords import inside
from sor_jax.structures import DenseOutputs


class FcosHead(nn.Module):
    """Two towers shared over the levels.

    Attributes:
      channels: width of the towers.
      depth: convolutions in a tower.
      prior: class probability at the start of training.
      dtype: what the towers compute in; the three outputs are float32, or thousands of scores
        would be equal and boxes off by a pixel.
    """

    channels: int = 256
    depth: int = 4
    prior: float = 0.01
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, levels, valid_hw, strides) -> DenseOutputs:
        """Reads every level.

        Args:
          levels: list of [B, h, w, C], fine to coarse.
          valid_hw: i32[B, 2] size of the photograph inside the padding.
          strides: pixels per cell of each level.

        Returns:
          DenseOutputs with the levels concatenated, float32.
        """

        def conv(features, name, bias=0.0, dtype=jnp.float32):
            return Conv(
                features,
                kernel_init=normal(0.01),
                bias_init=nn.initializers.constant(bias),
                dtype=dtype,
                name=name,
            )

        def tower(name):
            convs = [
                conv(self.channels, f"{name}_tower_{i}", dtype=self.dtype)
                for i in range(self.depth)
            ]
            norms = [
                GroupNorm(dtype=self.dtype, name=f"{name}_norm_{i}") for i in range(self.depth)
            ]
            return list(zip(convs, norms, strict=True))

        towers = {name: tower(name) for name in ("class", "box")}
        to_class = conv(1, "class_logit", bias=-math.log((1 - self.prior) / self.prior))
        to_box, to_centerness = conv(4, "box"), conv(1, "centerness")
        scale = self.param("scale", nn.initializers.ones, (len(levels),))
        outputs = []
        for i, (level, stride) in enumerate(zip(levels, strides, strict=True)):
            where = inside(valid_hw, level.shape[1:3], stride)
            trunk = {}
            for name, layers in towers.items():
                x = level
                for layer, norm in layers:
                    x = jnp.where(where, nn.relu(norm(layer(x), where)), 0)
                trunk[name] = x
            box = nn.relu(to_box(trunk["box"]) * scale[i])
            outputs.append((to_class(trunk["class"]), box, to_centerness(trunk["box"])))
        classes, boxes, centerness = (_points(maps) for maps in zip(*outputs, strict=True))
        return DenseOutputs(classes[..., 0], boxes, centerness[..., 0])


def _points(maps):
    """Concatenates maps [B, h, w, C] to f32[B, P, C]."""
    flat = [m.reshape(m.shape[0], -1, m.shape[-1]) for m in maps]
    return jnp.concatenate(flat, axis=1)
