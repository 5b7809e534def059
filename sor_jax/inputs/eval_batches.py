"""Records -> padded numpy batches in order, for evaluation.

A batch is as of sor_jax.inputs.loader, of which it has the first three arrays alone unless ground
truth is asked for.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from sor_jax.datasets.record import Record
from sor_jax.inputs.damage import Tolerant, check_on_error, without_damaged
from sor_jax.inputs.pad import empty_image, pad_image, pad_record


def eval_batches(
    source,
    *,
    canvas_hw: tuple[int, int],
    batch_size: int,
    indices: Sequence[int] | None = None,
    max_objects: int | None = None,
    on_error: str = "raise",
    left_out: list[str] | None = None,
) -> Iterator[tuple[dict, list[Record]]]:
    """Each record once and in order, as (batch, the records of its valid images).

    `indices` are the records that are taken, None for all.
    A batch has the images alone, no ground truth; with `max_objects` it has both.
    Batches that are not full are completed with empty images. With `on_error` "skip" damaged
    records are told and left out, and the list `left_out` takes why.
    """
    source = Tolerant(source) if check_on_error(on_error) == "skip" else source
    indices = range(len(source)) if indices is None else indices
    filler = empty_image(canvas_hw=canvas_hw, max_objects=max_objects)

    def pad(record):
        if max_objects is None:
            return pad_image(record.image, canvas_hw=canvas_hw)
        return pad_record(record, canvas_hw=canvas_hw, max_objects=max_objects)

    for start in range(0, len(indices), batch_size):
        taken = indices[start : start + batch_size]
        here = without_damaged([source[index] for index in taken], left_out)
        images = [pad(record) for record in here] + [filler] * (batch_size - len(here))
        yield {key: np.stack([image[key] for image in images]) for key in filler}, here
