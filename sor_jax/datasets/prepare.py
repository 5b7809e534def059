"""Writes a data set's records once, where every later run finds them.

A preparation is written beside its final place and renamed when it is whole, so one that was cut
off is never read. Two processes that ask at the same time do the work once.
"""

import contextlib
import fcntl
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator

import tensorflow_datasets as tfds
import tqdm
from absl import logging

from sor_jax.datasets.features import features


class _LocalInfo(tfds.core.DatasetInfo):
    """Of a data set that lies in no bucket of TFDS."""

    def initialize_from_bucket(self) -> None:
        """Does not look there: each look leaves an empty temporary folder behind."""


class LocalBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that downloads nothing; a subclass says how its examples come about.

    Examples have the fields of datasets.features; their keys are integers and fix their order.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # no check sums of downloads to look for

    def _info(self):
        return _LocalInfo(
            builder=self,
            description=type(self).__doc__,
            features=features(),
            disable_shuffling=True,  # evaluation keeps the order of the files
        )


def note_left_out(builder: LocalBuilder, split: str, reasons: list[str]) -> None:
    """Called while a split is written: keeps, with its records, which were left out and why."""
    (pathlib.Path(builder.data_dir) / f"left_out_{split}.json").write_text(json.dumps(reasons))


def left_out(data_dir: str | os.PathLike, split: str) -> list[str]:
    """What `note_left_out` kept."""
    path = pathlib.Path(data_dir) / f"left_out_{split}.json"
    return json.loads(path.read_text()) if path.exists() else []


def default_cache_dir() -> pathlib.Path:
    """$XDG_CACHE_HOME/sor_jax, or ~/.cache/sor_jax."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "sor_jax"


def prepared(
    cls: type[LocalBuilder],
    config: tfds.core.BuilderConfig,
    *,
    cache_dir: str | os.PathLike | None,
    what: str,
) -> LocalBuilder:
    """A builder whose records are there; they are written first if need be.

    `config.name` must change with anything that changes the records. They go to
    `cache_dir`/NAME OF THE CLASS/`config.name`; None means `default_cache_dir()`. `what` is what
    people are told is being prepared.
    """
    cache_dir = pathlib.Path(cache_dir or default_cache_dir()).expanduser()
    with _quiet():
        place = pathlib.Path(_builder(cls, config, cache_dir).data_dir)
        if not _is_whole(place):
            with _alone(place.parent / f".{place.name}.lock"):
                if not _is_whole(place):
                    _write(_builder(cls, config, cache_dir), place, what)
        return _builder(cls, config, cache_dir)


def progress(items: Iterable, *, total: int, what: str) -> Iterator:
    """The items, with a progress bar when a terminal looks on."""
    return tqdm.tqdm(items, total=total, desc=what, unit=" images", disable=None, leave=False)


def _builder(cls, config, cache_dir):
    return cls(config=config, data_dir=os.fspath(cache_dir), file_format="array_record")


def _is_whole(place: pathlib.Path) -> bool:
    return (place / "dataset_info.json").is_file()


def _write(builder: LocalBuilder, place: pathlib.Path, what: str) -> None:
    for left_over in (*place.parent.glob(f"incomplete.*_{place.name}"), place):
        if left_over.exists():
            shutil.rmtree(left_over)
    print(f"Preparing {what} in {place} (once)", file=sys.stderr, flush=True)
    tfds.display_progress_bar(False)  # `progress` stands for its four bars
    try:
        # TFDS speaks of downloads and wants a folder for them, though there are none.
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
            builder.download_and_prepare(download_dir=folder)
    finally:
        tfds.display_progress_bar(True)


@contextlib.contextmanager
def _alone(lock: pathlib.Path):
    """Holds a lock that the system drops with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _quiet():
    """Holds back what TFDS says of a configuration that is not in its catalogue."""
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)
