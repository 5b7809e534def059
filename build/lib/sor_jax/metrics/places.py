"""Places: the order of objects as integers."""

import numpy as np


def places(values: np.ndarray) -> np.ndarray:
    """Place of every value of f[n]: 1 + how many are smaller; equal values share a place.

    Returns:
      i[n]; the least salient has place 1.
    """
    values = np.asarray(values)
    return 1 + (values[None, :] < values[:, None]).sum(axis=1)
