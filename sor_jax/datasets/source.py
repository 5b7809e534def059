"""Random access to the records of a prepared data set."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from sor_jax.datasets import scenes
from sor_jax.datasets.assr import Assr
from sor_jax.datasets.coco import Coco
from sor_jax.datasets.folder import FolderBuilder, open_folder
from sor_jax.datasets.irsr import Irsr
from sor_jax.datasets.prepare import about
from sor_jax.datasets.record import NUM_RANKS, Record, decode_record
from sor_jax.datasets.sifr import Sifr

FORMATS: dict[str, type[FolderBuilder]] = {
    builder.name: builder for builder in (Assr, Coco, Irsr, Sifr)
}
NAMES = (*FORMATS, "scenes")
GRADED = ("irsr", "sifr")  # all salient objects are ranked, however many


def protocol(name: str) -> str:
    """Whose way of counting the metrics of a data set follow, for people."""
    whose, which = "ASSR", "the objects of the model's ranks, five by default, are ranked"
    if name in GRADED:
        whose = "IRSR"
        which = "every salient object is ranked, of own rank 0 and after the model's last rank, too"
    return f"{whose}'s: {which}; SA-SOR by mask IoU 0.5"


def open_source(
    name: str,
    *,
    root: str | os.PathLike | None,
    split: str,
    cache_dir: str | os.PathLike | None,
    canvas_hw: tuple[int, int],
    num_scenes: Mapping[str, int] = scenes.NUM_SCENES,
    on_error: str = "raise",
    rank_field: str = "rank_order",
    rank_values: str = "places",
    num_ranks: int = NUM_RANKS,
) -> "RecordSource":
    """The records of one split of a data set, prepared at first use.

    `root` is the folder of the files (all but "scenes"). `rank_field` names the folder of the ranks
    in it ("assr") or the field of an annotation ("coco"), whose `rank_values` are "places" or
    "scores". `canvas_hw` and `num_scenes` (split -> number) are of what is drawn ("scenes").
    `num_ranks` is how many ranks the model tells apart, config.model.num_ranks.
    `cache_dir` holds the prepared records; None is prepare.default_cache_dir(). With `on_error`
    "skip" damaged records are left out when they are prepared; a warning tells of each.
    """
    if name in FORMATS:
        own = {
            "assr": {"rank_field": rank_field},
            "coco": {"rank_field": rank_field, "rank_values": rank_values},
        }
        options: dict[str, Any] = {"num_ranks": num_ranks, **own.get(name, {})}
        builder = open_folder(
            FORMATS[name], root, split, cache_dir=cache_dir, on_error=on_error, **options
        )
    elif name == "scenes":
        if num_ranks != NUM_RANKS:
            raise ValueError(
                f"config.model.num_ranks is {num_ranks}; the drawn scenes have {NUM_RANKS} ranks"
            )
        builder = scenes.builder(image_hw=canvas_hw, num_scenes=num_scenes, cache_dir=cache_dir)
    else:
        raise ValueError(f"config.data.name is {name!r}; the data sets are {', '.join(NAMES)}")
    if split not in builder.info.splits:
        raise ValueError(f"{name} has no split {split!r}, only {', '.join(builder.info.splits)}")
    source = RecordSource(builder.data_dir, split, num_ranks)
    for reason in source.left_out:
        logging.warning("left out: %s", reason)
    return source


def open_split(config, split: str, *, root: str | None = None):
    """As open_source, as a config's `data` says; `root` takes the place of its own."""
    data = config.data
    return open_source(
        data.name,
        root=data.root if root is None else root,
        split=split,
        cache_dir=data.cache_dir or None,
        canvas_hw=tuple(data.canvas_hw),
        num_scenes=data.num_scenes.to_dict(),
        on_error=data.on_error,
        rank_field=data.rank_field,
        rank_values=data.rank_values,
        num_ranks=config.model.num_ranks,
    )


class RecordSource:
    """The records of one split, decoded when asked for; travels to worker processes as two names.

    Indices are 0 .. len - 1 in the order of the data set's list; `num_ranks` is the records'.
    """

    def __init__(self, directory: str | os.PathLike, split: str, num_ranks: int = NUM_RANKS):
        self.directory, self.split, self.num_ranks = os.fspath(directory), split, num_ranks
        self._examples = _open_examples(self.directory, split)

    @property
    def left_out(self) -> list[str]:
        """Which records their preparation left out as damaged, and why."""
        return about(self.directory).get("left_out", [])

    @property
    def fingerprint(self) -> str:
        """What tells these records from all others: equal for equal files, wherever they lie."""
        return about(self.directory)["content"]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Record:
        return decode_record(self._example(index), where=repr(self), num_ranks=self.num_ranks)

    def rank_order(self, index: int) -> np.ndarray:
        """f32[n] rank values of the objects of one record; decodes no image."""
        return np.asarray(self._example(index)["objects"]["rank_order"], np.float32)

    def __repr__(self) -> str:
        return f"{self.directory} ({self.split})"

    def __reduce__(self):
        return RecordSource, (self.directory, self.split, self.num_ranks)

    def _example(self, index: int) -> dict:
        if not 0 <= index < len(self):
            raise IndexError(f"{self!r} has records 0 to {len(self) - 1}, not {index}")
        try:
            return self._examples[index]
        except (RuntimeError, OSError, ValueError, IndexError) as error:  # of the record's reader
            raise ValueError(
                f"{self!r}, record {index}: cannot be read ({error}); delete {self.directory}, and "
                "it is prepared anew"
            ) from error


def _open_examples(directory: str, split: str):
    """Stored examples whose images stay bytes: Pillow decodes them, without TensorFlow."""
    builder = tfds.builder_from_directory(pathlib.Path(directory))
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "grey")}
    return builder.as_data_source(split, decoders=encoded)
