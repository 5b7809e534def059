"""The one evaluation loop: batches -> detections -> results of each photograph -> metrics.

Predicting a batch overlaps with reading the next one and with scoring the last one: a photograph is
pasted, encoded, scored, its map written and its picture drawn in a pool of threads.
"""

import collections
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from sor_jax.datasets.record import Record
from sor_jax.decode.paste import paste, paste_crop
from sor_jax.evaluation.gallery import Outputs
from sor_jax.evaluation.predictions import write_predictions
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction, Scoreboard, Scored, score
from sor_jax.structures import Detections

_THREADS = min(os.cpu_count() or 1, 8)
_BATCHES_BEHIND = 2  # that may wait to be scored; each holds its photographs and masks


def evaluate(
    predict: Callable[[dict], Detections],
    batches: Iterable[tuple[dict, list[Record]]],
    *,
    out_dir: str | os.PathLike | None = None,
    gallery: int = 24,
    predictions: bool = False,
    show: Callable[[str, np.ndarray], None] | None = None,
    progress: Callable[[int], None] | None = None,
    pool: Callable[[list[Scored]], list[Scored]] | None = None,
    summarize: bool = True,
    targets: str = "ranked",
    facts: Callable[[], dict] = dict,
) -> dict[str, float | int | None]:
    """Scores what a model predicts for every photograph, at the photograph's own size.

    Args:
      predict: a numpy batch -> Detections of numpy arrays, boxes in network-input pixels.
      batches: (numpy batch, records of its valid images in their order).
      out_dir: takes metrics.json, rank_maps/ID.png, gallery/ID.png and gallery.png, each of which
        appears whole or not at all; None writes nothing.
      gallery: how many photographs, from the first on, are drawn for `out_dir` and `show`.
      predictions: whether predictions.json joins them, see sor_jax.evaluation.predictions.
      show: called with the id and the picture u8[H, W, 3] of each of them.
      progress: called with the number of photographs scored since the last call.
      pool: turns the photographs of this process into those of all processes that share a data
        set; None where nobody does.
      summarize: whether this process writes metrics.json and gallery.png.
      targets: which objects are to be found, as of `truth_of`.
      facts: asked once all is scored for what metrics.json says beside the metrics.

    Returns:
      mae sor images_used images sor_multi multi_images objects_matched objects sa_sor f_measure
      ndcg_linear ndcg_exp box_ap box_ap50 mask_ap mask_ap50, in this order; None = undefined.

    Raises:
      FloatingPointError: an output of the network is not finite.
    """
    scoreboard, outputs = Scoreboard(), Outputs(out_dir, gallery=gallery, show=show)
    with contextlib.closing(_results(predict, batches, targets, outputs)) as scored:
        for results in scored:
            for result in results:
                scoreboard.images.append(result.scored)
                if result.picture is not None:
                    outputs.keep(result.record, result.picture)
            if progress is not None:
                progress(len(results))
    if pool is not None:
        scoreboard.images = pool(scoreboard.images)
    metrics = scoreboard.result()
    if summarize:
        outputs.close(metrics | facts())
        if predictions and out_dir is not None:
            write_predictions(pathlib.Path(out_dir), scoreboard.images)
    return metrics


class _Result(NamedTuple):
    """What is left of one photograph."""

    record: Record
    scored: Scored
    picture: np.ndarray | None


def _results(
    predict, batches, targets: str, outputs: Outputs
) -> Generator[list[_Result], None, None]:
    """Of the photographs of each batch in turn; a pool of threads scores them."""
    numbers = itertools.count()
    waiting: collections.deque[list[concurrent.futures.Future[_Result]]] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as threads:

        def submit(seen):
            is_drawn = next(numbers) < outputs.gallery
            return threads.submit(_result, seen, targets, outputs, is_drawn)

        try:
            for seen in predicted(predict, batches):
                waiting.append([submit(each) for each in seen])
                if len(waiting) > _BATCHES_BEHIND:
                    yield [future.result() for future in waiting.popleft()]
            while waiting:
                yield [future.result() for future in waiting.popleft()]
        finally:
            threads.shutdown(cancel_futures=True)


class Seen(NamedTuple):
    """One photograph of a batch, and what a model gives for the batch.

    Attributes:
      output: of the whole batch.
      slot: the image's place in the batch.
      valid_hw: i[2], height and width of the resized photograph inside the network's input.
      record: the photograph.
    """

    output: Any
    slot: int
    valid_hw: np.ndarray
    record: Record


def predicted(
    predict: Callable[[dict], Any], batches: Iterable[tuple[dict, list[Record]]]
) -> Iterator[list[Seen]]:
    """The photographs of each batch in turn, fillers left out; `predict` as of `evaluate`."""
    for batch, records in _read_ahead(batches):
        output = predict(batch)
        slots = zip(np.flatnonzero(batch["valid"]), records, strict=True)
        yield [Seen(output, int(i), batch["valid_hw"][i], record) for i, record in slots]


def _read_ahead(batches: Iterable) -> Iterator:
    """The same batches; while one is used the next is read, decoded and padded."""
    batches = iter(batches)
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(next, batches, None)
        while (batch := waiting.result()) is not None:
            waiting = reader.submit(next, batches, None)
            yield batch


def _result(seen: Seen, targets, outputs, is_drawn: bool) -> _Result:
    prediction = in_photograph(seen.output, seen)
    truth = truth_of(seen.record, targets)
    outputs.write_rank_map(seen.record, prediction)
    scored = score(truth, prediction)._replace(image_id=seen.record.image_id)
    picture = outputs.draw(seen.record, truth, prediction, scored.row) if is_drawn else None
    return _Result(seen.record, scored, picture)


def in_photograph(detections: Detections, seen: Seen) -> Prediction:
    """The detections of one photograph of a batch, as the metrics take them.

    `detections` are numpy arrays [B, N, ..] of the batch, boxes in network-input pixels.
    """
    hw = seen.record.image.shape[:2]
    try:
        pasted = paste(detections, seen.slot, seen.valid_hw, hw)
    except FloatingPointError as error:
        raise FloatingPointError(f"image {seen.record.image_id}: {error}") from None
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
        num_ranks=pasted.rank_prob.shape[-1],
    )
