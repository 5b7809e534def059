"""How one array lies in torch and how it lies here."""

from typing import NamedTuple

import numpy as np

# An fc that follows the convolutions reads their flattened map, this many cells a side.
_FLATTENED_SIDE = 7


class _Layout(NamedTuple):
    """The axes of torch's array, and the order in which ours takes them."""

    rank: int
    order: tuple[int, ...]


# O, I: channels out and in; H, W: the kernel's rows and columns.
_LAYOUTS = {
    "conv": _Layout(4, (2, 3, 1, 0)),  # OIHW -> HWIO
    "deconv": _Layout(4, (2, 3, 0, 1)),  # IOHW -> HWIO
    "dense": _Layout(2, (1, 0)),  # OI -> IO
    "dense_1x1": _Layout(4, (2, 3, 1, 0)),  # OI11 -> IO: a 1x1 convolution there
    "flattened": _Layout(2, (1, 0)),  # OI -> IO; I is channel, row, column there, last here
    "vector": _Layout(-1, ()),  # as it is
    "element": _Layout(1, (0,)),  # one element of a vector
}


def from_torch(array: np.ndarray, layout: str) -> np.ndarray:
    """Turns an array from torch's layout to ours; ValueError where it has other axes.

    Layouts: see _LAYOUTS. "flattened" is a dense layer whose input is a map, flattened as channel,
    row, column there and as row, column, channel here.
    """
    rank, order = _LAYOUTS[layout]
    if rank < 0:
        return array
    if array.ndim != rank:
        raise ValueError(f"has {array.ndim} axes, expected {rank}")
    if layout == "dense_1x1":
        return array.transpose(order).reshape(array.shape[1], array.shape[0])
    if layout == "flattened":
        side = _FLATTENED_SIDE
        if array.shape[1] % side**2:
            raise ValueError(f"reads {array.shape[1]} numbers, expected maps of {side}x{side}")
        maps = array.reshape(array.shape[0], -1, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
    return array.transpose(order)


def to_torch(array: np.ndarray, layout: str) -> np.ndarray:
    """The inverse of from_torch."""
    rank, order = _LAYOUTS[layout]
    if rank < 0:
        return array
    if layout == "dense_1x1":
        return array.T[:, :, None, None]
    if layout == "flattened":
        side, outputs = _FLATTENED_SIDE, array.shape[-1]
        maps = array.reshape(side, side, -1, outputs)
        return maps.transpose(3, 2, 0, 1).reshape(outputs, -1)
    return array.transpose(np.argsort(order))
