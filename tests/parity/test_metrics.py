"""Metrics against the original implementation's, case by case, to 1e-6.

A slice of the cases is in tests/data/goldens; SOR_GOLDENS names the folder of all of them.
"""

import json
import math
import os
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from sor_jax.datasets.masks import to_rle
from sor_jax.datasets.record import rank_classes
from sor_jax.metrics.maps import f_measure_image, mae_image, ndcg_image, painted_ranks
from sor_jax.metrics.sa_sor import mean_defined, sa_sor_image
from sor_jax.metrics.sor import matched_values, sor_image, sor_summary

SLICE = pathlib.Path(__file__).parents[1] / "goldens"
HW = (480, 640)


class Case(NamedTuple):
    """One made-up image and what the original says of it."""

    where: str
    pred_map: np.ndarray  # u8[h, w]
    grey: np.ndarray  # u8[h, w]
    all_masks: np.ndarray  # bool[n, h, w]
    ranked: np.ndarray  # i[k] into them
    rank_order: np.ndarray  # f[n]
    segmentation: list
    pred_sure: np.ndarray  # bool[p, h, w] where the prediction is 1
    pred_half: np.ndarray  # bool[p, h, w] where it is 0.5
    scores: np.ndarray  # f[p]
    expected: dict

    @property
    def masks(self):
        return self.all_masks[self.ranked]

    @property
    def own(self):
        return self.rank_order[self.ranked]


def golden_files():
    """The slice, and every file of the kind in the folder that SOR_GOLDENS names."""
    folders = [SLICE, pathlib.Path(os.environ.get("SOR_GOLDENS") or SLICE)]
    return sorted({file for folder in folders for file in folder.glob("metrics_*.npz")})


def unpack(rows):
    return np.unpackbits(rows, axis=1).reshape(-1, *HW).astype(bool)


def defined(value):
    """The original's value, None where it has none: "nan", or it fails on the image alone."""
    if value is None or isinstance(value, str) or math.isnan(value):
        return None
    return value


def read_cases(file):
    stem = str(file).removesuffix(".npz")
    cases = json.loads(pathlib.Path(f"{stem}_cases.json").read_text())
    expected = json.loads(pathlib.Path(f"{stem}.json").read_text())["per_image"]
    with np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    gt_end, pred_end = np.cumsum(arrays["gt_count"]), np.cumsum(arrays["pred_count"])
    read = []
    for i, (case, result) in enumerate(zip(cases, expected, strict=True)):
        gt = slice(gt_end[i] - arrays["gt_count"][i], gt_end[i])
        pred = slice(pred_end[i] - arrays["pred_count"][i], pred_end[i])
        read.append(
            Case(
                where=f"{file.name} {case['id']} ({case['kind']})",
                pred_map=arrays["sal_map_pred"][i],
                grey=arrays["sal_map_gt"][i],
                all_masks=unpack(arrays["gt_masks_packed"][gt]),
                ranked=np.array(case["salient"], int),
                rank_order=np.array(case["rank_order"]),
                segmentation=case["segmentation"],
                pred_sure=unpack(arrays["pred_one_packed"][pred]),
                pred_half=unpack(arrays["pred_half_packed"][pred]),
                scores=np.array(case["rank_scores"]),
                expected=result,
            )
        )
    return read


@pytest.fixture(
    scope="module", params=golden_files(), ids=lambda file: f"{file.parent.name}/{file.stem}"
)
def cases(request):
    return read_cases(request.param)


def same(value, expected, case, name):
    expected = defined(expected)
    assert (value is None) == (expected is None), f"{case.where}: {name} {value}, not {expected}"
    if value is not None:
        assert value == pytest.approx(expected, abs=1e-6), f"{case.where}: {name}"


def mask_iou(a, b):
    a, b = (m.reshape(len(m), HW[0] * HW[1]).astype(np.float32) for m in (a, b))
    hits = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None] - hits
    return hits / np.maximum(union, 1)


def own_mae(case):
    return mae_image(case.pred_map, case.grey)


def own_sa_sor(case):
    return sa_sor_image(mask_iou(case.masks, case.pred_sure), case.scores, case.own)


def own_f_measure(case):
    return f_measure_image(case.pred_sure | case.pred_half, case.scores, case.masks, case.own)


def own_ndcg(case):
    return ndcg_image(case.pred_map, case.masks, rank_classes(case.own) + 1) or (None, None)


def own_painted_mae(case):
    true = painted_ranks(case.masks, case.own) / max(len(case.masks), 1)
    found = painted_ranks(case.pred_sure | case.pred_half, case.scores)
    return float(np.abs(true - found / max(len(case.scores), 1)).mean())


def test_masks_of_polygons(cases):
    for case in cases:
        rles = [to_rle(polygons, HW) for polygons in case.segmentation]
        masks = [coco_mask.decode(rle).astype(bool) for rle in rles]
        np.testing.assert_array_equal(np.reshape(masks, (-1, *HW)), case.all_masks, case.where)


def test_mae(cases):
    for case in cases:
        same(own_mae(case), case.expected["mae"], case, "MAE")


def test_sor(cases):
    for case in cases:
        rho, matched = sor_image(case.pred_map, case.masks, case.own)
        same(rho, case.expected["spr"], case, "rho")
        used = case.expected["spr_used_objects"]
        values = matched_values(case.pred_map, case.masks)
        assert [i for i, value in enumerate(values) if value is not None] == used, case.where
        assert matched == len(used), case.where
        assert (rho is not None) == case.expected["spr_used_in_average"], case.where


def test_sa_sor(cases):
    for case in cases:
        same(own_sa_sor(case), case.expected["sasor"], case, "SA-SOR")


def test_f_measure(cases):
    for case in cases:
        same(own_f_measure(case), case.expected["f_measure"], case, "F-measure")


def test_painted_ranks(cases):
    for case in cases:
        same(own_painted_mae(case), case.expected["mae_qagnet"], case, "MAE of painted places")


def test_ndcg(cases):
    for case in cases:
        linear, exponential = own_ndcg(case)
        same(linear, case.expected["ndcg_linear"], case, "linear nDCG")
        same(exponential, case.expected["ndcg_exp"], case, "exponential nDCG")


def test_numbers_over_all_cases(goldens):
    files = sorted(goldens.glob("metrics_*.npz"))
    if not files:
        pytest.skip(f"{goldens} has no metrics_*.npz")
    for file in files:
        expected = json.loads(file.with_suffix(".json").read_text())["overall"]
        for name, (value, golden) in over_all(read_cases(file), expected).items():
            assert value == pytest.approx(golden, abs=1e-6), f"{file.name}: {name}"


def over_all(cases, expected):
    images = [sor_image(case.pred_map, case.masks, case.own) for case in cases]
    rho, matched = zip(*images, strict=True)
    summary = sor_summary(rho, matched, [len(case.masks) for case in cases])
    sor = expected["sor_eval.eval_sor"]
    ndcg = [own_ndcg(case) for case in cases]
    golden_ndcg = expected["evaluate_nDCG (images with gt)"]
    return {
        "images_used": (summary["images_used"], sor["image_used"]),
        "sor": (summary["sor"], sor["sor"]),
        "mae": (mean_defined(map(own_mae, cases)), sor["mae"]),
        "sa_sor": (mean_defined(map(own_sa_sor, cases)), expected["SASOR.evalu(iou 0.5)"]),
        "f": (mean_defined(map(own_f_measure, cases)), expected["mae_fmeasure_2.f_measure"]),
        "ndcg linear": (mean_defined(linear for linear, _ in ndcg), golden_ndcg[0]),
        "ndcg exp": (mean_defined(exp for _, exp in ndcg), golden_ndcg[1]),
    }
