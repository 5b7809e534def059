"""AP of boxes and masks against worked examples and a naive precision-recall loop."""

import numpy as np
import pytest

from sor_jax.metrics.ap import AveragePrecision, Detected, Objects
from tests.pictures import encode, mask_of

HW = (40, 50)


def rles(boxes):
    return [encode(mask_of(box, HW)) for box in np.asarray(boxes, int).reshape(-1, 4)]


def objects(boxes):
    return Objects(np.asarray(boxes, float).reshape(-1, 4), rles(boxes))


def found(boxes, score, mask_score=None, masks=None):
    mask_score = score if mask_score is None else mask_score
    masks = rles(boxes if masks is None else masks)
    return Detected(np.asarray(boxes, float).reshape(-1, 4), masks, score, mask_score)


def scored(*images):
    judge = AveragePrecision()
    for truth, prediction in images:
        judge.add(HW, truth, prediction)
    return judge.result()


A, B, FAR = (2, 3, 22, 23), (25, 5, 45, 25), (30, 30, 40, 40)


def test_the_truth_itself_scores_one():
    result = scored((objects([A, B]), found([A, B], [0.9, 0.8])))
    names = ["box_ap", "box_ap50", "mask_ap", "mask_ap50"]
    assert result == pytest.approx(dict.fromkeys(names, 1))


def test_one_of_two_objects_found():
    # Recall reaches .5 at precision 1: 51 of the 101 recall points.
    result = scored((objects([A, B]), found([A], [0.9])))
    assert result["box_ap50"] == pytest.approx(51 / 101)


def test_boxes_and_masks_have_their_own_scores():
    # The false detection is first by box score and last by mask score.
    prediction = found([FAR, A], [0.9, 0.8], mask_score=[0.1, 0.8])
    result = scored((objects([A]), prediction))
    assert result["box_ap50"] == pytest.approx(0.5)
    assert result["mask_ap50"] == pytest.approx(1)


def test_a_right_box_with_a_wrong_mask():
    result = scored((objects([A]), found([A], [0.9], masks=[FAR])))
    assert (result["box_ap"], result["mask_ap"]) == pytest.approx((1, 0))


def test_iou_of_three_quarters_counts_for_six_of_ten_thresholds():
    result = scored((objects([(0, 0, 20, 20)]), found([(0, 0, 20, 15)], [0.9])))
    assert result["box_ap50"] == pytest.approx(1)
    assert result["box_ap"] == pytest.approx(0.6)


def test_no_detection_is_zero_and_no_object_is_undefined():
    assert scored((objects([A]), found([], []))) == dict.fromkeys(
        ["box_ap", "box_ap50", "mask_ap", "mask_ap50"], 0.0
    )
    assert scored((objects([]), found([A], [0.9])))["mask_ap"] is None
    assert AveragePrecision().result()["box_ap"] is None


def test_detections_in_an_image_without_objects_count_against():
    images = (objects([A]), found([A], [0.5])), (objects([]), found([B], [0.9]))
    assert scored(*images)["box_ap50"] == pytest.approx(0.5)


def test_more_than_a_hundred_detections_all_count():
    boxes = [FAR] * 120 + [A]
    score = np.linspace(0.9, 0.1, 121)
    result = scored((objects([A]), found(boxes, score)))
    assert result["box_ap50"] == pytest.approx(1 / 121)


def box_iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return inter / (sum(areas) - inter)


def naive_ap(images, threshold):
    """Greedy matching by score, then precision interpolated at 101 recalls."""
    hits, num_objects = [], 0
    for truth, prediction in images:
        free = list(truth.xyxy)
        num_objects += len(free)
        for index in np.argsort(-np.asarray(prediction.score), kind="stable"):
            ious = [box_iou(prediction.xyxy[index], box) for box in free]
            is_hit = bool(ious) and max(ious) >= threshold
            if is_hit:
                free.pop(int(np.argmax(ious)))
            hits.append((prediction.score[index], is_hit))
    hits.sort(key=lambda item: -item[0])
    true = np.cumsum([hit for _, hit in hits])
    precision, recall = true / np.arange(1, len(hits) + 1), true / num_objects
    at = [precision[recall >= r] for r in np.linspace(0, 1, 101)]
    return float(np.mean([p.max() if len(p) else 0 for p in at]))


@pytest.mark.parametrize("seed", range(4))
def test_box_ap_against_a_loop(seed):
    rng = np.random.default_rng(seed)
    images = []
    for count in (5, 4, 5, 4, 5):  # 23 objects: no recall but 1 lies on a hundredth
        corner = rng.integers(0, 15, (count, 2))
        true = np.concatenate([corner, corner + rng.integers(8, 25, (count, 2))], axis=1)
        guess = np.concatenate([true + rng.integers(-3, 4, true.shape), true[:2] + 4])
        guess[:, 2:] = np.maximum(guess[:, 2:], guess[:, :2] + 1)
        images.append((objects(true), found(guess, rng.random(count + 2))))
    result = scored(*images)
    naive = [naive_ap(images, t) for t in np.linspace(0.5, 0.95, 10)]
    assert result["box_ap50"] == pytest.approx(naive[0])
    assert result["box_ap"] == pytest.approx(np.mean(naive))
