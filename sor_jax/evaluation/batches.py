"""The batches of a split that is evaluated, as a config says."""

from collections.abc import Iterator

import jax

from sor_jax.datasets.record import Record
from sor_jax.datasets.source import open_split
from sor_jax.inputs.eval_batches import eval_batches


class EvalBatches:
    """The first config.eval.max_images records of a split, in order, in batches of any size.

    Of several processes each takes every so many-th record. The batches have the images alone;
    with `ground_truth` also the objects, for whoever shows them to the network.

    Attributes:
      num_images: how many records these are, those of all processes.
      in_split: how many the split has.
      left_out: why records are missing: the reasons of their preparation, then those of the last
        reading by this process as far as it has come.
    """

    def __init__(self, config, split: str, *, ground_truth: bool = False):
        self._source = open_split(config, split)
        self.in_split = len(self._source)
        self.num_images = min(self.in_split, config.eval.max_images or self.in_split)
        self._unprepared = list(self._source.left_out)
        self.left_out = list(self._unprepared)
        self._options = {
            "indices": range(jax.process_index(), self.num_images, jax.process_count()),
            "canvas_hw": tuple(config.data.canvas_hw),
            "max_objects": config.data.max_objects if ground_truth else None,
            "on_error": config.data.on_error,
        }

    def __call__(self, batch_size: int) -> Iterator[tuple[dict, list[Record]]]:
        """See sor_jax.inputs.eval_batches."""
        self.left_out = list(self._unprepared)
        return eval_batches(
            self._source, batch_size=batch_size, left_out=self.left_out, **self._options
        )
