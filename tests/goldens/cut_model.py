"""Cuts a small slice of the model's golden numbers, to be committed.

    python tests/goldens/cut_model.py FOLDER_OF_GOLDENS

Takes CenterMask-39 and Mask R-CNN R-50, seed 0; small arrays whole, of the others 400 elements.
What is small anyway is copied.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

ELEMENTS = 400
OF_A_PARAMETER = 40  # elements of its gradient and of its change
PARTS = {
    "centermask_vov39_ppa": (
        "a_backbone_fpn",
        "b_fcos_raw",
        "c_proposals",
        "d_fixed_boxes",
        "e_inference",
        "f_train_fixed_proposals",
        "g_sgd3steps",
    ),
    "maskrcnn_r50_ppa": ("a_backbone_fpn", "b_rpn_raw", "d_fixed_boxes"),
}
LEFT_OUT = ("pasted_masks_packed", "sor_mask_in_stats_src")
COPIED = ("rank_assign.npz", "render_saliency_map.npz")
# What belongs together: where elements of a parameter are, and what they are.
PAIRS = (("grad_idx.", "grad_val."), ("idx.", "delta."))


def cut(stored: dict) -> dict:
    """The slice of one file, in the same format."""
    small, rng = {}, np.random.default_rng(0)
    for name in sorted({key.split("__")[0] for key in stored} - set(LEFT_OUT)):
        shape = f"{name}__shape"
        if shape not in stored or (name in stored and stored[name].size <= 4 * ELEMENTS):
            small |= {key: stored[key] for key in (name, shape) if key in stored}
            continue
        small[shape] = stored[shape]
        if name in stored:
            index, value = np.arange(stored[name].size, dtype=np.int32), stored[name].reshape(-1)
        else:
            index, value = stored[f"{name}__idx"], stored[f"{name}__val"]
        chosen = np.sort(rng.choice(len(index), ELEMENTS, replace=False))
        small[f"{name}__idx"], small[f"{name}__val"] = index[chosen], value[chosen]
    for where, what in PAIRS:
        for name in [key.removeprefix(where) for key in small if key.startswith(where)]:
            count = len(small[where + name])
            chosen = rng.choice(count, min(count, OF_A_PARAMETER), replace=False)
            for key in (where + name, what + name):
                small[key] = small[key][np.sort(chosen)]
    return small


def main(folder: str) -> None:
    """Writes the slice beside this file."""
    source, here = pathlib.Path(folder), pathlib.Path(__file__).parent
    names = [f"{model}_seed0_{part}.npz" for model, parts in PARTS.items() for part in parts]
    for name in names:
        with np.load(source / name) as stored:
            small = cut({key: stored[key] for key in stored.files})
        np.savez_compressed(here / name, **small)
    for name in COPIED:
        shutil.copyfile(source / name, here / name)
    manifests = [source.parent / f"manifest_{model}.json" for model in PARTS]
    for path in (source / "gt_objects.json", source.parent / "optimizer_groups.json", *manifests):
        text = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
        (here / path.name).write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
