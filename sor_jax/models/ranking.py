"""Position-preserved attention: from pooled regions to rank logits (PPA paper, section 3)."""

import flax.linen as nn
import jax.numpy as jnp

from sor_jax.models.encoder import Encoder
from sor_jax.models.layers import Conv, Dense, normal
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
      num_ranks: rank classes K.
      slipped_height: use (y1 + y0) / H in place of the height, as the original's "box" does.
      dtype: what layers compute in. Those that read the coordinate maps, and the rank layer, are
        float32: bfloat16 knows 256 places across half a photograph.
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
    num_ranks: int = NUM_RANKS
    slipped_height: bool = False
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Makes the layers, each under the name that its parameters have.

        Raises ValueError for a position that is none of POSITIONS.
        """
        if self.position not in POSITIONS:
            raise ValueError(f"position is {self.position!r}; expected one of {POSITIONS}")
        if self.position == "maps":
            self.position_conv = Conv(2, dtype=jnp.float32)
        for i in range(self.depth):
            stride = 2 if i == self.depth - 1 else 1
            dtype = self._input_dtype() if i == 0 else self.dtype
            setattr(self, f"conv{i + 1}", Conv(self.channels, stride=stride, dtype=dtype))
        for i, width in enumerate(self.hidden):
            setattr(self, f"fc{i + 1}", Dense(width, dtype=self.dtype))
        grid = nn.initializers.uniform(1.0)
        if self.position in ("grid", "grid_scale"):
            shape = (self.center_grid**2, self.hidden[-1])
            self.center_embedding = self.param("center_embedding", grid, shape)
        if self.position == "grid_scale":
            shape = (self.scale_grid**2, self.hidden[-1])
            self.scale_embedding = self.param("scale_embedding", grid, shape)
        if self.interaction:
            self.encoder = Encoder(
                self.layers,
                self.heads,
                self.ffn,
                activation=self.activation,
                dropout=self.dropout,
                dtype=self.dtype,
            )
        self.rank = Dense(self.num_ranks, kernel_init=normal(0.01), dtype=jnp.float32)

    def __call__(self, pooled, mask_prob, boxes, valid_hw, *, train: bool = False):
        """Ranks the regions of each image against each other: `tokens`, then `interact`.

        pooled [B, R, S, S, C + 2], mask_prob f32[B, R, 2S, 2S], boxes [B, R], valid_hw i32[B, 2]
        -> rank logits f32[B, R, K].
        """
        tokens = self.tokens(pooled, mask_prob, boxes.xyxy, valid_hw)
        return self.interact(tokens, boxes.valid, train=train)

    def tokens(self, pooled, mask_prob, xyxy, valid_hw):
        """The position embedding stage: one visual token a region, each on its own.

        Args:
          pooled: [B, R, S, S, C + 2], features, then the pooled y and x maps.
          mask_prob: f32[B, R, 2S, 2S].
          xyxy: f32[B, R, 4].
          valid_hw: i32[B, 2] size of the photograph inside the padding.

        Returns:
          f32[B, R, D]
        """
        return self.tokens_of(self.maps(pooled, mask_prob), xyxy, valid_hw)

    def maps(self, pooled, mask_prob):
        """The convolutions of `tokens`, flat: [B, R, ..]."""
        x = self._region(pooled, mask_prob)
        for i in range(self.depth):
            x = nn.relu(getattr(self, f"conv{i + 1}")(x))
        return x.reshape(*x.shape[:-3], -1)

    def tokens_of(self, x, xyxy, valid_hw):
        """The rest of `tokens`: what `maps` gives -> f32[B, R, D]."""
        for i in range(len(self.hidden)):
            x = nn.relu(getattr(self, f"fc{i + 1}")(x))
        return self._place(x.astype(jnp.float32), xyxy, valid_hw)

    def interact(self, tokens, valid, *, train: bool = False):
        """The feature interaction stage: tokens f32[B, R, D] of one image see each other.

        Args:
          tokens: f32[B, R, D].
          valid: bool[B, R]; tokens of padded slots are seen by none.
          train: whether dropout is on (needs the rng "dropout").

        Returns:
          rank logits f32[B, R, K], class K - 1 = most salient.
        """
        if self.interaction:
            tokens = self.encoder(tokens, valid, train=train)
        return self.rank(tokens)

    def _input_dtype(self):
        return jnp.float32 if self.position == "maps" else self.dtype

    def _region(self, pooled, mask_prob):
        """The input of the convolutions, in the original's order of channels."""
        features, maps = pooled[..., :-2], pooled[..., -2:]
        parts = [features]
        if self.mask_channel:
            parts.append(nn.max_pool(mask_prob[..., None], (2, 2), (2, 2)).astype(features.dtype))
        if self.position == "maps":
            embedded = nn.relu(self.position_conv(maps))
            self.sow("intermediates", "position", embedded)
            parts += [maps, embedded]
        return jnp.concatenate([p.astype(self._input_dtype()) for p in parts], axis=-1)

    def _place(self, tokens, xyxy, valid_hw):
        """Adds or concatenates what "center", "box", "grid" and "grid_scale" say of the box."""
        size = jnp.maximum(valid_hw[:, None, ::-1], 1).astype(jnp.float32)
        center = (xyxy[..., :2] + xyxy[..., 2:]) / 2 / size
        extent = (xyxy[..., 2:] - xyxy[..., :2]) / size
        if self.slipped_height:
            extent = extent.at[..., 1].set(2 * center[..., 1])
        if self.position == "center":
            return jnp.concatenate([tokens, center], axis=-1)
        if self.position == "box":
            return jnp.concatenate([tokens, center, extent], axis=-1)
        if self.position in ("grid", "grid_scale"):
            tokens = tokens + _look_up(self.center_embedding, self.center_grid, center)
        if self.position == "grid_scale":
            tokens = tokens + _look_up(self.scale_embedding, self.scale_grid, extent)
        return tokens


def _look_up(table, cells, share):
    """The rows of a learnt cells x cells grid where share f32[B, R, 2] (x, y in 0..1) lies."""
    cell = jnp.clip(jnp.floor(share * cells), 0, cells - 1).astype(jnp.int32)
    return table[cell[..., 0] * cells + cell[..., 1]]
