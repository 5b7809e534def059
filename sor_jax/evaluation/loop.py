"""A split of a data set -> detections -> metrics, rank maps and a gallery."""

import os
from collections.abc import Callable, Iterable

import numpy as np

from sor_jax.datasets.record import Record
from sor_jax.decode.paste import paste, paste_crop
from sor_jax.evaluation.gallery import Album
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction, Scoreboard, Scored
from sor_jax.structures import Detections


def evaluate(
    predict: Callable[[dict], Detections],
    batches: Iterable[tuple[dict, list[Record]]],
    *,
    out_dir: str | os.PathLike | None = None,
    gallery: int = 24,
    show: Callable[[str, np.ndarray], None] | None = None,
    progress: Callable[[int], None] | None = None,
    pool: Callable[[list[Scored]], list[Scored]] | None = None,
    summarize: bool = True,
    targets: str = "ranked",
) -> dict[str, float | int | None]:
    """Scores what a model predicts for every photograph, at the photograph's own size.

    Args:
      predict: a numpy batch -> Detections of numpy arrays, boxes in network-input pixels.
      batches: (numpy batch, records of its valid images in their order).
      out_dir: takes metrics.json, rank_maps/ID.png, gallery/ID.png and gallery.png, each of which
        appears whole or not at all; None writes nothing.
      gallery: how many photographs, from the first on, are drawn for `out_dir` and `show`.
      show: called with the id and the picture u8[H, W, 3] of each of them.
      progress: called with the number of photographs scored since the last call.
      pool: turns the photographs of this process into those of all processes that share a data
        set; None where nobody does.
      targets: which objects are to be found, as of `truth_of`.
      summarize: whether this process writes metrics.json and gallery.png.

    Returns:
      mae sor images_used images sor_multi multi_images objects_matched objects sa_sor f_measure
      ndcg_linear ndcg_exp box_ap box_ap50 mask_ap mask_ap50, in this order; None = undefined.
    """
    scoreboard = Scoreboard()
    album = Album(out_dir, gallery, show)
    for batch, records in batches:
        detections = predict(batch)
        for slot, record in zip(np.flatnonzero(batch["valid"]), records, strict=True):
            prediction = in_photograph(detections, slot, batch["valid_hw"][slot], record)
            truth = truth_of(record, targets)
            album.add(record, truth, prediction, scoreboard.add(truth, prediction))
        if progress is not None:
            progress(len(records))
    if pool is not None:
        scoreboard.images = pool(scoreboard.images)
    metrics = scoreboard.result()
    if summarize:
        album.close(metrics)
    return metrics


def in_photograph(
    detections: Detections, slot: int, valid_hw: np.ndarray, record: Record
) -> Prediction:
    """The detections of one image of a batch, as the metrics take them.

    Args:
      detections: numpy arrays [B, N, ..], boxes in network-input pixels.
      slot: the image's place in the batch.
      valid_hw: i[2], height and width of the resized photograph inside the network's input.
      record: the photograph.
    """
    hw = record.image.shape[:2]
    try:
        pasted = paste(detections, slot, valid_hw, hw)
    except ValueError as error:
        raise ValueError(f"image {record.image_id}: {error}") from None
    ranked = np.flatnonzero(pasted.rank_class >= 0)
    encoded, masks = [], np.zeros((len(ranked), *hw), bool)
    for index, (prob, box) in enumerate(zip(pasted.mask_prob, pasted.xyxy, strict=True)):
        crop = paste_crop(prob, box, hw)
        encoded.append(crop.encode(hw))
        for place in np.flatnonzero(ranked == index):
            crop.write_into(masks[place])
    return Prediction(
        xyxy=pasted.xyxy,
        score=pasted.score,
        mask_score=pasted.mask_score,
        encoded=encoded,
        ranked=ranked,
        masks=masks,
        rank_class=pasted.rank_class[ranked],
    )
