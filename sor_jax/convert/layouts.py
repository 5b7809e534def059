"""How one array lies in torch and how it lies here."""

import numpy as np

# An fc that follows the convolutions reads their flattened map, this many cells a side.
_FLATTENED_SIDE = 7


def from_torch(array: np.ndarray, layout: str) -> np.ndarray:
    """Turns an array from torch's layout to ours.

    Layouts: "conv" OIHW -> HWIO; "deconv" IOHW -> HWIO; "dense" [out, in(, 1, 1)] -> [in, out];
    "flattened", a dense layer whose input is a map flattened as channel, row, column there and as
    row, column, channel here; "vector" and "element" as they are.
    """
    if layout == "conv":
        return array.transpose(2, 3, 1, 0)
    if layout == "deconv":
        return array.transpose(2, 3, 0, 1)
    if layout == "dense":
        return array.reshape(array.shape[:2]).T
    if layout == "flattened":
        side = _FLATTENED_SIDE
        maps = array.reshape(array.shape[0], -1, side, side)
        return maps.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
    if layout in ("vector", "element"):
        return array
    raise ValueError(f"unknown layout {layout!r}")
