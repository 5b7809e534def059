"""Position-preserved attention: from pooled regions to rank logits (PPA paper, section 3)."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.encoder import Encoder
from sor_jax.models.layers import Conv, Dense, max_pool2, normal
from sor_jax.structures import NUM_RANKS

POSITIONS = ("none", "maps", "center", "box", "grid", "grid_scale")


class RankingHead(nn.Module):
    """Position embedding stage, feature interaction stage, rank logits.

    Attributes:
      position: how a token learns where its region lies (PPA paper, tables 4 and 5):
        "none"; "maps", coordinate maps pooled with the features (the paper's proposal);
        "center" and "box", (Cx, Cy) or (Cx, Cy, w, h) as shares of the photograph, concatenated
        to the token; "grid", a learnt embedding of the centre's cell of a grid, added to the
        token; "grid_scale", the same plus one of the cell of (w, h).
      interaction: whether the tokens of an image attend to each other.
      mask_channel: whether the mask probability joins the features (the original does that).
      channels, depth: the convolutions, the last of stride 2.
      hidden: widths of the two fully connected layers; the last is the token's.
      layers, heads, ffn, activation, dropout: the Transformer encoder's.
      center_grid, scale_grid: cells per side of the learnt grids.
      slipped_height: use (y1 + y0) / H in place of the height, as the original's "box" does.
      dtype: what layers compute in; logits are float32.
    """

    position: str = "maps"
    interaction: bool = True
    mask_channel: bool = False
    channels: int = 256
    depth: int = 4
    hidden: tuple[int, int] = (1024, 1024)
    layers: int = 4
    heads: int = 4
    ffn: int = 4096
    activation: str = "gelu"
    dropout: float = 0.1
    center_grid: int = 8
    scale_grid: int = 4
    slipped_height: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, pooled, mask_prob, boxes, image_hw, *, train: bool = False):
        """Ranks the regions of each image against each other.

        Args:
          pooled: [B, R, S, S, C + 2], features, then the pooled y and x maps.
          mask_prob: f32[B, R, 2S, 2S].
          boxes: Boxes [B, R]; tokens of padded slots are seen by none.
          image_hw: i32[B, 2] size of the photograph inside the padding.
          train: whether dropout is on (needs the rng "dropout").

        Returns:
          f32[B, R, 5], class 4 = most salient.
        """
        if self.position not in POSITIONS:
            raise ValueError(f"position is {self.position!r}; expected one of {POSITIONS}")
        tokens = self._tokens(self._region(pooled, mask_prob))
        tokens = self._place(tokens, boxes.xyxy, image_hw)
        if self.interaction:
            encoder = Encoder(
                self.layers,
                self.heads,
                self.ffn,
                activation=self.activation,
                dropout=self.dropout,
                dtype=self.dtype,
                name="encoder",
            )
            tokens = encoder(tokens, boxes.valid, train=train)
        logits = Dense(NUM_RANKS, kernel_init=normal(0.01), dtype=self.dtype, name="rank")(tokens)
        return logits.astype(jnp.float32)

    def _region(self, pooled, mask_prob):
        """The input of the convolutions, in the original's order of channels."""
        features, maps = pooled[..., :-2], pooled[..., -2:]
        parts = [features]
        if self.mask_channel:
            parts.append(max_pool2(mask_prob[..., None]).astype(features.dtype))
        if self.position == "maps":
            embedded = nn.relu(Conv(2, dtype=self.dtype, name="position_conv")(maps))
            self.sow("intermediates", "position", embedded)
            parts += [maps, embedded]
        return jnp.concatenate([p.astype(self.dtype) for p in parts], axis=-1)

    def _tokens(self, x):
        """[B, R, S, S, C] -> one visual token a region, [B, R, D]."""
        for i in range(self.depth):
            stride = 2 if i == self.depth - 1 else 1
            x = Conv(self.channels, stride=stride, dtype=self.dtype, name=f"conv{i + 1}")(x)
            x = nn.relu(x)
        x = x.reshape(*x.shape[:-3], -1)
        for i, width in enumerate(self.hidden):
            x = nn.relu(Dense(width, dtype=self.dtype, name=f"fc{i + 1}")(x))
        return x

    def _place(self, tokens, xyxy, image_hw):
        """Adds or concatenates what "center", "box", "grid" and "grid_scale" say of the box."""
        size = jnp.maximum(image_hw[:, None, ::-1], 1).astype(jnp.float32)
        center = (xyxy[..., :2] + xyxy[..., 2:]) / 2 / size
        extent = (xyxy[..., 2:] - xyxy[..., :2]) / size
        if self.slipped_height:
            extent = extent.at[..., 1].set(2 * center[..., 1])
        tokens = tokens.astype(jnp.float32)
        if self.position == "center":
            tokens = jnp.concatenate([tokens, center], axis=-1)
        elif self.position == "box":
            tokens = jnp.concatenate([tokens, center, extent], axis=-1)
        elif self.position in ("grid", "grid_scale"):
            tokens = tokens + self._embedding("center_embedding", self.center_grid, center, tokens)
            if self.position == "grid_scale":
                tokens = tokens + self._embedding(
                    "scale_embedding", self.scale_grid, extent, tokens
                )
        return tokens

    def _embedding(self, name, cells, share, tokens):
        """Looks up the cell of share f32[B, R, 2] (x, y in 0..1) in a learnt cells x cells grid."""
        table = self.param(name, nn.initializers.uniform(1.0), (cells**2, tokens.shape[-1]))
        column, row = jnp.moveaxis(
            jnp.clip(jnp.floor(share * cells), 0, cells - 1).astype(jnp.int32), -1, 0
        )
        return table[column * cells + row]
