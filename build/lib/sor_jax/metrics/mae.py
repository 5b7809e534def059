"""MAE between grey maps."""

import numpy as np


def mae_image(pred_map: np.ndarray, true_map: np.ndarray) -> float:
    """Mean over the pixels of |prediction - ground truth|, 0..1.

    Args:
      pred_map: u8[h, w] or u16[h, w], white = the largest number of the type.
      true_map: the data set's grey map, of the same type.
    """
    if pred_map.shape != true_map.shape:
        raise ValueError(
            f"the predicted map is {pred_map.shape}, the true one {true_map.shape}; "
            "both must have the photograph's size (height, width)"
        )
    difference = np.maximum(pred_map, true_map) - np.minimum(pred_map, true_map)
    return float(difference.mean(dtype=np.float64)) / np.iinfo(pred_map.dtype).max
