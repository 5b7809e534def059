"""Cuts a few cases out of a golden file of metrics: one of every kind and the odd ones.

    cd tests/data/goldens && python cut_metrics.py $SOR_GOLDENS/metrics_seed0.npz metrics_slice

The slice has the format of the whole; `overall`, which speaks of all the cases, is left out.
"""

import json
import pathlib
import sys

import numpy as np

# miss_all, ties_pred, swap, half_values, single, ties_gt with one match, empty_pred, fp_only,
# no_gt, full_cover with equal predictions, perfect, normal where SOR and SA-SOR disagree in sign,
# normal with one match.
CASES = (3, 6, 7, 10, 13, 26, 28, 29, 32, 33, 35, 50, 58)
COUNT_OF = {"gt_masks_packed": "gt_count", "pred_one_packed": "pred_count"}
COUNT_OF["pred_half_packed"] = "pred_count"


def cut(arrays: dict, cases: tuple[int, ...]) -> dict:
    """The same arrays for some of the cases; rows of masks follow the counts of their images."""
    taken = {}
    for name, array in arrays.items():
        rows = np.array(cases)
        if name in COUNT_OF:
            count = arrays[COUNT_OF[name]]
            start = np.cumsum(count) - count
            rows = np.concatenate([np.arange(start[i], start[i] + count[i]) for i in cases])
        taken[name] = array[rows]
    return taken


def main(source: str, target: str) -> None:
    """Writes TARGET.npz, TARGET_cases.json and TARGET.json."""
    stem, out = source.removesuffix(".npz"), pathlib.Path(target)
    with np.load(source) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(f"{out}.npz", **cut(arrays, CASES))
    cases = json.loads(pathlib.Path(f"{stem}_cases.json").read_text())
    results = json.loads(pathlib.Path(f"{stem}.json").read_text())
    results = {"per_image": [results["per_image"][i] for i in CASES]}
    for suffix, content in (("_cases", [cases[i] for i in CASES]), ("", results)):
        text = json.dumps(content, separators=(",", ":"))
        pathlib.Path(f"{out}{suffix}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
