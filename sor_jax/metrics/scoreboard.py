"""Every metric of a data set: gathered image by image, in compact form, and shown as a table."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.metrics.ap import AveragePrecision, Detected, Objects
from sor_jax.metrics.maps import f_measure_image, mae_image, ndcg_image
from sor_jax.metrics.sa_sor import mean_defined, sa_sor_image
from sor_jax.metrics.sor import NUM_RANKS, matched_values, rank_map, sor_image, sor_summary

WITHOUT_MASKS = "images_without_masks"


class Truth(NamedTuple):
    """What people say of one photograph: its n objects, in the file's order."""

    grey: np.ndarray | None  # u8[h, w] the data set's grey map, None where it has none
    xyxy: np.ndarray  # f[n, 4] in pixels of the photograph
    encoded: list[dict]  # n masks as COCO run-length encodings
    masks: np.ndarray  # bool[n, h, w] the same masks
    rank_order: np.ndarray  # f[n] the file's values, larger = more salient, at most .5 = no rank
    rank_class: np.ndarray  # i[n] K - 1 = most salient .. 0, below 0 = none of the first K
    num_ranks: int = NUM_RANKS  # K

    @property
    def has_mask(self) -> np.ndarray:
        """bool[n]: False where an object is known by its box alone."""
        return np.asarray(self.masks.any(axis=(1, 2)))

    def of(self, kept: np.ndarray) -> "Truth":
        """Some of the objects, by index."""
        encoded = [self.encoded[index] for index in kept]
        order, classes = self.rank_order[kept], self.rank_class[kept]
        masks, xyxy = self.masks[kept], self.xyxy[kept]
        return Truth(self.grey, xyxy, encoded, masks, order, classes, self.num_ranks)

    def with_ranks(self) -> "Truth":
        """The objects whose rank is known, those after the K-th, too."""
        return self.of(np.flatnonzero(self.rank_order > 0.5))


class Prediction(NamedTuple):
    """What a model says of one photograph: p detections, r of them with a rank."""

    xyxy: np.ndarray  # f[p, 4] in pixels of the photograph, inside it
    score: np.ndarray  # f[p] orders the boxes
    mask_score: np.ndarray  # f[p] orders the masks
    encoded: list[dict]  # p masks as COCO run-length encodings
    ranked: np.ndarray  # i[r] which detections have a rank, in their order
    masks: np.ndarray  # bool[r, h, w] masks of these
    rank_class: np.ndarray  # i[r] K - 1 = most salient .. 0
    num_ranks: int = NUM_RANKS  # K

    def rank_map(self) -> np.ndarray:
        """u8[h, w], see `sor_jax.metrics.sor.rank_map`."""
        return rank_map(self.masks, self.rank_class, self.num_ranks)

    def ranks(self) -> np.ndarray:
        """i[p] the rank of every detection, 1 = most salient, 0 = none."""
        ranks = np.zeros(len(self.xyxy), int)
        ranks[self.ranked] = self.num_ranks - self.rank_class
        return ranks


class Scored(NamedTuple):
    """What a scoreboard keeps of one photograph."""

    row: dict
    hw: tuple[int, int]
    objects: Objects
    detected: Detected
    image_id: str = ""


class Scoreboard:
    """Collects photographs, then gives the numbers of the data set.

    Attributes:
      images: the photographs so far, Scored; those of another scoreboard may be put among them.
    """

    def __init__(self) -> None:
        self.images: list[Scored] = []

    def add(self, truth: Truth, prediction: Prediction) -> dict:
        """Scores one photograph, see `score`; returns its row."""
        self.images.append(score(truth, prediction))
        return self.images[-1].row

    def result(self) -> dict[str, float | int | None]:
        """The numbers of all photographs so far, in the order of reports; None = undefined.

        WITHOUT_MASKS joins them where objects of some photographs are known by their boxes alone.
        """
        precision = AveragePrecision()
        for image in self.images:
            precision.add(image.hw, image.objects, image.detected)
        result = summary([image.row for image in self.images]) | precision.result()
        if without := sum(not image.objects.has_masks for image in self.images):
            result[WITHOUT_MASKS] = without
        return result


def score(truth: Truth, prediction: Prediction) -> Scored:
    """Scores one photograph.

    Its row has mae, rho, matched, objects, sa_sor, f_measure, ndcg_linear and ndcg_exp; None where
    a metric is undefined for it. SA-SOR and the F-measure see the detections that have a rank,
    scored by it; MAE, SOR and nDCG see the rank map; AP sees every detection. Order is judged among
    the objects whose rank is known; nDCG among the first K of them. Where none is, all objects
    count as to be matched, and rho is None. Of a photograph with an object that is known by its box
    alone, all that needs masks is None: it has MAE where the set has a map, and counts in box AP.
    """
    everything, truth = truth, truth.with_ranks()
    detected = _detected(prediction)
    objects = Objects(everything.xyxy, everything.encoded, bool(everything.has_mask.all()))
    if not objects.has_masks:
        return Scored(
            _row_without_masks(truth, prediction), everything.masks.shape[1:], objects, detected
        )
    pred_map = prediction.rank_map()
    rho, matched = sor_image(pred_map, truth.masks, truth.rank_order)
    iou = mask_iou(truth.encoded, [prediction.encoded[i] for i in prediction.ranked])
    first = truth.of(np.flatnonzero(truth.rank_class >= 0))
    ndcg = ndcg_image(pred_map, first.masks, first.rank_class + 1, truth.num_ranks)
    linear, exp = ndcg or (None, None)
    row = {
        "mae": None if truth.grey is None else mae_image(pred_map, truth.grey),
        "rho": rho,
        "matched": matched,
        "objects": len(truth.masks),
        "sa_sor": sa_sor_image(iou, prediction.rank_class, truth.rank_order),
        "f_measure": f_measure_image(
            prediction.masks, prediction.rank_class, truth.masks, truth.rank_order
        ),
        "ndcg_linear": linear,
        "ndcg_exp": exp,
    }
    if not len(truth.masks):
        values = matched_values(pred_map, everything.masks)
        row["matched"] = sum(value is not None for value in values)
        row["objects"] = len(values)
    return Scored(row, pred_map.shape, objects, detected)


def _detected(prediction: Prediction) -> Detected:
    scores = prediction.score, prediction.mask_score
    return Detected(prediction.xyxy, prediction.encoded, *scores, rank=prediction.ranks())


def _row_without_masks(truth: Truth, prediction: Prediction) -> dict:
    mae = None if truth.grey is None else mae_image(prediction.rank_map(), truth.grey)
    return dict.fromkeys(_ROW) | {"mae": mae, "matched": 0, "objects": 0}


_MEANS = ("sa_sor", "f_measure", "ndcg_linear", "ndcg_exp")
_ROW = ("mae", "rho", "matched", "objects", *_MEANS)


def summary(rows: Sequence[dict]) -> dict[str, float | int | None]:
    """The numbers of a data set from those of its photographs, in the order of reports.

    Args:
      rows: mae, rho, matched and objects of each photograph, and what all of them have of sa_sor,
        f_measure, ndcg_linear and ndcg_exp; without a row all of these are undefined.

    Returns:
      mae, those of sor_summary, and the means of the others; None = undefined.
    """
    column = {name: [row[name] for row in rows] for name in (rows[0] if rows else _ROW)}
    return {
        "mae": mean_defined(column["mae"]),
        **sor_summary(column["rho"], column["matched"], column["objects"]),
        **{name: mean_defined(column[name]) for name in _MEANS if name in column},
    }


def mask_iou(objects: list[dict], predictions: list[dict]) -> np.ndarray:
    """f[n, p] from run-length encodings."""
    if not objects or not predictions:
        return np.zeros((len(objects), len(predictions)))
    return np.asarray(coco_mask.iou(objects, predictions, [0] * len(predictions)))


_LINES = (
    ("SOR", "sor", "({images_used} images)"),
    ("SOR multi", "sor_multi", "({multi_images} images with two or more matched objects)"),
    ("SA-SOR", "sa_sor", ""),
    ("MAE", "mae", ""),
    ("F-measure", "f_measure", ""),
    ("nDCG linear", "ndcg_linear", ""),
    ("nDCG exp", "ndcg_exp", ""),
    ("box AP", "box_ap", "(AP50 {box_ap50})"),
    ("mask AP", "mask_ap", "(AP50 {mask_ap50})"),
)


def table(metrics: dict[str, float | int | None]) -> str:
    """Lines of `name value (note)`; an undefined value shows as `--`.

    Args:
      metrics: as `Scoreboard.result` gives them, or some of these.
    """
    shown = {name: _text(value) for name, value in metrics.items()}
    width = max(len(name) for name, _, _ in _LINES)
    lines = [f"{'images':>{width}} {metrics['images']}"]
    for name, key, note in _LINES:
        if key not in metrics:
            continue
        lines.append(f"{name:>{width}} {shown[key]} {note.format(**shown)}".rstrip())
        if key == "sor_multi":
            matched = "{objects_matched} of {objects} ranked objects".format(**metrics)
            lines.append(f"{'matched':>{width}} {matched}{_percent(metrics)}")
    if without := metrics.get(WITHOUT_MASKS):
        lines.append(
            f"{without} of {metrics['images']} images have objects without a mask: they count in "
            "box AP, and in MAE where there is a map; nothing else can be computed of them"
        )
    return "\n".join(lines)


def _text(value: float | int | None) -> str:
    if value is None:
        return "--"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _percent(metrics: dict) -> str:
    if not metrics["objects"]:
        return ""
    return f" ({100 * metrics['objects_matched'] / metrics['objects']:.1f} %)"
