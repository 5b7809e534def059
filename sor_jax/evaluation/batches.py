"""The batches of a split that is evaluated, as a config says."""

from collections.abc import Callable, Iterable

import jax

from sor_jax.datasets.record import Record
from sor_jax.datasets.source import open_split
from sor_jax.inputs.loader import eval_batches


def build_eval_batches(
    config, split: str, *, ground_truth: bool = False
) -> Callable[[int], Iterable[tuple[dict, list[Record]]]]:
    """Batch size -> batches of the first config.eval.max_images records of a split, in order.

    Of several processes each takes every so many-th record. The batches have the images alone;
    with `ground_truth` also the objects, for whoever shows them to the network.
    """
    source = _First(open_split(config, split), config.eval.max_images)
    source = _Every(source, jax.process_index(), jax.process_count())

    def batches(batch_size):
        return eval_batches(
            source,
            canvas_hw=tuple(config.data.canvas_hw),
            batch_size=batch_size,
            max_objects=config.data.max_objects if ground_truth else None,
            on_error=config.data.on_error,
        )

    return batches


class _First:
    """The first `count` records of a source; 0 for all."""

    def __init__(self, source, count: int):
        self._source, self._count = source, count or len(source)

    def __len__(self):
        return min(self._count, len(self._source))

    def __getitem__(self, index):
        return self._source[index]


class _Every:
    """The records `start`, `start + step`, .. of a source."""

    def __init__(self, source, start: int, step: int):
        self._source, self._indices = source, range(start, len(source), step)

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, index):
        return self._source[self._indices[index]]
