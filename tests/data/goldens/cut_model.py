"""Cuts a small slice of the model's golden numbers, to be committed.

    python tests/data/goldens/cut_model.py FOLDER_OF_GOLDENS

Takes CenterMask-39, seed 0, parts a, b, d and e; small arrays whole, of the others 400 elements.
"""

import pathlib
import sys

import numpy as np

ELEMENTS = 400
PARTS = ("a_backbone_fpn", "b_fcos_raw", "d_fixed_boxes", "e_inference")
LEFT_OUT = ("pasted_masks_packed",)


def cut(stored: dict) -> dict:
    """The slice of one file, in the same format."""
    small = {}
    rng = np.random.default_rng(0)
    for name in sorted({key.split("__")[0] for key in stored} - set(LEFT_OUT)):
        small[f"{name}__shape"] = stored[f"{name}__shape"]
        if name in stored and stored[name].size <= 4 * ELEMENTS:
            small[name] = stored[name]
            continue
        if name in stored:
            index, value = np.arange(stored[name].size, dtype=np.int32), stored[name].reshape(-1)
        else:
            index, value = stored[f"{name}__idx"], stored[f"{name}__val"]
        chosen = np.sort(rng.choice(len(index), ELEMENTS, replace=False))
        small[f"{name}__idx"], small[f"{name}__val"] = index[chosen], value[chosen]
    return small


if __name__ == "__main__":
    for part in PARTS:
        name = f"centermask_vov39_ppa_seed0_{part}.npz"
        with np.load(pathlib.Path(sys.argv[1]) / name) as stored:
            small = cut({key: stored[key] for key in stored.files})
        np.savez_compressed(pathlib.Path(__file__).parent / name, **small)
