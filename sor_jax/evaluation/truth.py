"""What the metrics see of a record: the objects that are ground truth."""

import numpy as np

from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.record import Record, target_indices
from sor_jax.metrics.scoreboard import Truth


def truth_of(record: Record, targets: str = "ranked") -> Truth:
    """The objects of `target_indices` of a photograph, in the file's order."""
    wanted = np.sort(target_indices(record, targets))
    encoded = [record.masks[index] for index in wanted]
    return Truth(
        grey=record.grey,
        xyxy=record.boxes[wanted],
        encoded=encoded,
        masks=decode_masks(encoded, record.image.shape[:2]),
        rank_order=record.rank_order[wanted],
        rank_class=record.rank_class[wanted],
        num_ranks=record.num_ranks,
    )
