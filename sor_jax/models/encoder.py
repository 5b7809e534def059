"""A post-norm Transformer encoder over sets with padding (Vaswani et al., 2017)."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from sor_jax.models.layers import EPSILON, Dense, torch_uniform

ACTIVATIONS = {"gelu": lambda x: nn.gelu(x, approximate=False), "relu": nn.relu}


class Encoder(nn.Module):
    """Layers of attention and feed-forward; no order embedding, no norm at the end.

    Attributes:
      layers: number of layers.
      heads: attention heads; must divide the tokens' width.
      ffn: width inside the feed-forward part.
      activation: "gelu" or "relu".
      dropout: rate on attention weights, inside the feed-forward part and on both residuals.
      dtype: what products compute in; norms and softmax are float32.
    """

    layers: int = 4
    heads: int = 4
    ffn: int = 4096
    activation: str = "gelu"
    dropout: float = 0.1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid, *, train: bool = False):
        """Lets the valid tokens of each set see each other.

        Args:
          x: f[B, R, D] tokens.
          valid: bool[B, R]; a padded token is seen by none, what comes out in its slot is junk.
          train: whether dropout is on.

        Returns:
          f32[B, R, D]
        """
        for i in range(self.layers):
            x = EncoderLayer(
                self.heads,
                self.ffn,
                self.activation,
                self.dropout,
                dtype=self.dtype,
                name=f"layer_{i}",
            )(x, valid, train=train)
        return x


class EncoderLayer(nn.Module):
    """x = norm(x + attention(x)); x = norm(x + ffn(x)). Its attributes are Encoder's."""

    heads: int
    ffn: int
    activation: str
    dropout: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid, *, train: bool = False):
        """f32[B, R, D] of tokens x f[B, R, D], which see the valid ones bool[B, R] alone.

        Raises ValueError for an activation that is none of ACTIVATIONS.
        """
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation is {self.activation!r}; expected one of {tuple(ACTIVATIONS)}"
            )
        drop = nn.Dropout(self.dropout, deterministic=not train)
        attended = Attention(self.heads, self.dropout, dtype=self.dtype, name="attention")
        x = x.astype(jnp.float32)
        x = self._norm("norm1")(x + drop(attended(x, valid, train=train)))
        y = Dense(self.ffn, dtype=self.dtype, name="fc1")(x)
        y = drop(ACTIVATIONS[self.activation](y))
        y = Dense(x.shape[-1], dtype=self.dtype, name="fc2")(y).astype(jnp.float32)
        return self._norm("norm2")(x + drop(y))

    def _norm(self, name):
        return nn.LayerNorm(epsilon=EPSILON, name=name)


class Attention(nn.Module):
    """Multi-head self-attention over a set. Its attributes are Encoder's."""

    heads: int
    dropout: float
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, valid, *, train: bool = False):
        """x f32[B, R, D], valid bool[B, R] -> f32[B, R, D]; padded tokens are seen by none.

        Raises ValueError where D does not divide by the number of heads.
        """
        width = x.shape[-1]
        if width % self.heads:
            raise ValueError(f"tokens of width {width} do not divide into {self.heads} heads")
        # Query, key and value start as one Xavier matrix.
        xavier = nn.initializers.xavier_uniform()
        qkv = Dense(3 * width, kernel_init=xavier, dtype=self.dtype, name="qkv")(x)
        query, key, value = jnp.split(qkv.reshape(*x.shape[:-1], 3 * self.heads, -1), 3, axis=-2)
        logit = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
        logit = logit / math.sqrt(width // self.heads)
        # A finite floor: an image without any valid token must not make a NaN.
        logit = jnp.where(valid[:, None, None, :], logit, jnp.finfo(jnp.float32).min)
        weight = jax.nn.softmax(logit, axis=-1)
        weight = nn.Dropout(self.dropout, deterministic=not train)(weight).astype(self.dtype)
        y = jnp.einsum("bhqk,bkhd->bqhd", weight, value).reshape(x.shape)
        out = Dense(width, kernel_init=torch_uniform(), dtype=self.dtype, name="out")
        return out(y).astype(jnp.float32)
