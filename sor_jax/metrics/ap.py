"""Average precision of boxes and masks as COCO defines it, by pycocotools."""

import contextlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


class Objects(NamedTuple):
    """The ranked objects of one photograph."""

    xyxy: np.ndarray  # f[n, 4] in pixels of the photograph
    masks: Sequence[dict]  # n COCO run-length encodings
    has_masks: bool = True  # False where some are known by their boxes alone


class Detected(NamedTuple):
    """Everything detected in one photograph, in any order."""

    xyxy: np.ndarray  # f[p, 4]
    masks: Sequence[dict]  # p COCO run-length encodings
    score: np.ndarray  # f[p] orders the boxes
    mask_score: np.ndarray  # f[p] orders the masks
    rank: np.ndarray | None = None  # i[p] 1 = most salient, 0 = none; plays no part in AP


class AveragePrecision:
    """Collects the objects and detections of a data set, then scores them.

    Only compact things are kept: boxes, scores and run-length encoded masks.
    """

    def __init__(self) -> None:
        self._images: list[dict] = []
        self._objects: list[dict] = []
        self._detections: list[dict] = []
        self._without_masks: set[int] = set()

    def add(self, hw: tuple[int, int], objects: Objects, detected: Detected) -> None:
        """Adds one photograph of height and width `hw`."""
        image_id = len(self._images) + 1
        if not objects.has_masks:
            self._without_masks.add(image_id)
        self._images.append({"id": image_id, "height": int(hw[0]), "width": int(hw[1])})
        for entry in _entries(objects.xyxy, objects.masks):
            self._objects.append(entry | {"image_id": image_id, "id": len(self._objects) + 1})
        entries = _entries(detected.xyxy, detected.masks)
        for entry, score, mask_score in zip(
            entries, detected.score, detected.mask_score, strict=True
        ):
            entry |= {"image_id": image_id, "id": len(self._detections) + 1}
            entry |= {"box_score": float(score), "mask_score": float(mask_score)}
            self._detections.append(entry)

    def result(self) -> dict[str, float | None]:
        """box_ap box_ap50 mask_ap mask_ap50, 0..1; None where no photograph has an object.

        A photograph with an object that has no mask counts in box AP alone.
        """
        box_ap, box_ap50 = self._score("bbox", "box_score")
        mask_ap, mask_ap50 = self._score("segm", "mask_score")
        return {"box_ap": box_ap, "box_ap50": box_ap50, "mask_ap": mask_ap, "mask_ap50": mask_ap50}

    def _score(self, kind: str, score: str) -> tuple[float | None, float | None]:
        without = self._without_masks if kind == "segm" else ()
        objects = [entry for entry in self._objects if entry["image_id"] not in without]
        if not objects:
            return None, None
        detections = (entry for entry in self._detections if entry["image_id"] not in without)
        detected = [entry | {"score": entry[score]} for entry in detections]
        per_image = np.bincount([entry["image_id"] for entry in detected], minlength=1)
        with contextlib.redirect_stdout(io.StringIO()):
            judge = COCOeval(self._coco(objects), self._coco(detected), kind)
            judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
            judge.params.maxDets = [max(int(per_image.max()), 1)]
            judge.evaluate()
            judge.accumulate()
        precision = judge.eval["precision"]  # [IoU .5 .. .95, recall, 1, 1, 1]
        return float(precision.mean()), float(precision[0].mean())

    def _coco(self, entries: list[dict]) -> COCO:
        coco = COCO()
        # pycocotools writes into the entries: they are copied.
        coco.dataset = {
            "images": self._images,
            "annotations": [dict(entry) for entry in entries],
            "categories": [{"id": 1, "name": "salient object"}],
        }
        coco.createIndex()
        return coco


def _entries(xyxy: np.ndarray, masks: Sequence[dict]) -> list[dict]:
    entries = []
    for (x0, y0, x1, y1), mask in zip(xyxy, masks, strict=True):
        entries.append(
            {
                "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                "segmentation": mask,
                "area": float(coco_mask.area(mask)),
                "iscrowd": 0,
                "category_id": 1,
            }
        )
    return entries
