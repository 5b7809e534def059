"""What the metrics see of a record: its ranked objects."""

import numpy as np

from sor_jax.datasets.record import Record, decode_masks, rank_classes, ranked_indices
from sor_jax.metrics.scoreboard import Truth


def truth_of(record: Record) -> Truth:
    """The ranked objects of a photograph, in the file's order."""
    ranked = np.sort(ranked_indices(record.rank_order))
    encoded = [record.masks[index] for index in ranked]
    rank_order = record.rank_order[ranked]
    return Truth(
        grey=record.grey,
        xyxy=record.boxes[ranked],
        encoded=encoded,
        masks=decode_masks(encoded, record.image.shape[:2]),
        rank_order=rank_order,
        rank_class=rank_classes(rank_order),
    )
