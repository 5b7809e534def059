"""Where the photograph lies inside the padded maps, and where each cell lies in the photograph."""

from collections.abc import Sequence

import jax.numpy as jnp


def num_cells(valid_hw, stride: int):
    """Rows and columns of a level that the photograph itself covers.

    Args:
      valid_hw: i32[..., 2] height and width of the photograph inside the padding, pixels.
      stride: pixels per cell.

    Returns:
      i32[..., 2]
    """
    return -(-valid_hw // stride)


def inside(valid_hw, level_hw: tuple[int, int], stride: int):
    """bool[B, h, w, 1]: True for the cells of a level that the photograph covers."""
    cells = num_cells(valid_hw, stride)
    rows = jnp.arange(level_hw[0]) < cells[:, :1]
    columns = jnp.arange(level_hw[1]) < cells[:, 1:]
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def inside_each(valid_hw, canvas_hw: tuple[int, int], strides: Sequence[int]) -> dict:
    """{stride: `inside` of the level of this stride} of a canvas whose sides the strides divide."""
    h, w = canvas_hw
    return {s: inside(valid_hw, (h // s, w // s), s) for s in strides}


def coordinate_maps(valid_hw, level_hw: tuple[int, int], stride: int):
    """The position maps of position-preserved attention (PPA paper, section 3.2).

    Relative to the photograph's own size, so that more padding changes nothing.

    Args:
      valid_hw: i32[B, 2] size of the photograph inside the padding, pixels.
      level_hw: rows and columns of the level.
      stride: pixels per cell.

    Returns:
      f32[B, h, w, 2]: y then x of the cell centres as shares of the photograph's height and width.
    """
    size = jnp.maximum(valid_hw, 1).astype(jnp.float32)
    y = (stride / 2 + stride * jnp.arange(level_hw[0])) / size[:, :1]
    x = (stride / 2 + stride * jnp.arange(level_hw[1])) / size[:, 1:]
    shape = (size.shape[0], *level_hw)
    return jnp.stack(
        [jnp.broadcast_to(y[:, :, None], shape), jnp.broadcast_to(x[:, None, :], shape)], axis=-1
    )
