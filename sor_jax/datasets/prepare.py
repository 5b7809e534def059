"""Writes a data set's records once, where every later run finds them.

A preparation is written beside its final place and renamed when it is whole, so one that was cut
off is never read; one that was damaged afterwards, or that another version wrote, is told and
made anew. Two processes that ask at the same time do the work once.
"""

import contextlib
import errno
import hashlib
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
from sor_jax.files import cache_dir as default_cache_dir
from sor_jax.files import locked, quiet, write_json

ABOUT = "about.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORMAT = 2  # of about.json and of what the records hold


class _LocalInfo(tfds.core.DatasetInfo):
    """Of a data set that lies in no bucket of TFDS."""

    def initialize_from_bucket(self) -> None:
        """Does not look there: each look leaves an empty temporary folder behind."""


class LocalBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder that downloads nothing; a subclass says how its examples come about.

    Examples have the fields of datasets.features; their keys are integers and fix their order.

    Attributes:
      facts: what a subclass wants to be kept with the records, see `about`.
    """

    VERSION = tfds.core.Version("1.0.0")
    url_infos = None  # no check sums of downloads to look for
    facts: dict

    def _info(self):
        return _LocalInfo(
            builder=self,
            description=type(self).__doc__,
            features=features(),
            disable_shuffling=True,  # evaluation keeps the order of the files
        )


def about(data_dir: str | os.PathLike) -> dict:
    """What is known of prepared records.

    "content" tells them from all others; "left_out" [why] are records that were damaged;
    "files" {name: [bytes, digest of a small one]}; "roots" are the folders that use them. Further
    fields as the builder's `facts`.
    """
    return json.loads((pathlib.Path(data_dir) / ABOUT).read_bytes())


def prepared(
    cls: type[LocalBuilder],
    config: tfds.core.BuilderConfig,
    *,
    cache_dir: str | os.PathLike | None,
    what: str,
) -> LocalBuilder:
    """A builder whose records are there; they are written first if need be.

    `config.name` must change with anything that changes the records. They go to
    `cache_dir`/NAME OF THE CLASS/`config.name`; None means `default_cache_dir()`. `what` is how
    messages call them.
    """
    cache_dir = pathlib.Path(cache_dir or default_cache_dir()).expanduser()
    with quiet(logging.ERROR):  # TFDS warns of a configuration that is not in its catalogue
        folder = folder_of(cls, config.name, cache_dir)
        if damage(folder) is not None:
            with _alone(cache_dir, f"{cls.name}-{config.name}"):
                why = damage(folder)
                if why is not None:
                    _clear(folder)
                    again = f" anew: {why}" if why else " (once)"
                    print(f"Preparing {what} in {folder}{again}", file=sys.stderr, flush=True)
                    _write(_builder(cls, config, cache_dir), folder)
        return _builder(cls, config, cache_dir)


def folder_of(cls: type[LocalBuilder], name: str, cache_dir: pathlib.Path) -> pathlib.Path:
    """Where the records of a configuration of this name lie."""
    return cache_dir / cls.name / name / str(cls.VERSION)


def damage(folder: pathlib.Path) -> str | None:
    """What is wrong with prepared records, "" where there are none; None where they are whole."""
    if not folder.is_dir():
        return ""
    try:
        known = about(folder)
        if known["format"] != _FORMAT:
            return "it was written by another version"
        for name, (size, digest) in known["files"].items():
            file = folder / name
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != size:
                return f"{name} has {file.stat().st_size} bytes of {size}"
            if digest and digest != _digest(file):
                return f"{name} was changed"
    except FileNotFoundError:
        return "it was cut off, or written by another version"
    except (ValueError, KeyError, TypeError):
        return f"{ABOUT} cannot be read"
    return None


def add_root(data_dir: str | os.PathLike, root: str) -> None:
    """Notes that a folder uses these records; a cache that can only be read is left as it is."""
    known = about(data_dir)
    if root not in known["roots"]:
        with contextlib.suppress(OSError):
            write_json(
                pathlib.Path(data_dir) / ABOUT, known | {"roots": [*known["roots"], root][-9:]}
            )


def progress(items: Iterable, *, total: int, what: str) -> Iterator:
    """The items, with a progress bar when a terminal looks on."""
    return tqdm.tqdm(items, total=total, desc=what, unit=" images", disable=None, leave=False)


def _builder(cls, config, cache_dir):
    return cls(config=config, data_dir=os.fspath(cache_dir), file_format="array_record")


def _clear(folder: pathlib.Path) -> None:
    """Deletes a folder, and what cut-off preparations left beside it."""
    for left_over in (*folder.parent.glob(f"incomplete.*_{folder.name}"), folder):
        if left_over.exists():
            shutil.rmtree(left_over)


def _write(builder: LocalBuilder, folder: pathlib.Path) -> None:
    tfds.display_progress_bar(False)  # `progress` stands for its four bars
    builder.facts = {"content": builder.builder_config.name}
    try:
        # TFDS speaks of downloads and wants a folder for them, though there are none.
        with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as none:
            builder.download_and_prepare(download_dir=none)
    except RuntimeError as error:  # of the writer of records
        full = [os.strerror(number) for number in _FULL if os.strerror(number) in str(error)]
        if not full:
            raise
        raise OSError(
            f"records cannot be prepared in {folder.parent}: {full[0]}; make room, or set "
            "config.data.cache_dir to a folder of another disk"
        ) from error
    finally:
        tfds.display_progress_bar(True)
        if not folder.exists():
            _clear(folder)
            with contextlib.suppress(OSError):  # another version's records are there
                folder.parent.rmdir()
    files = {
        file.name: [file.stat().st_size, _digest(file) if file.suffix == ".json" else ""]
        for file in sorted(folder.iterdir())
    }
    write_json(folder / ABOUT, {"format": _FORMAT, "files": files} | builder.facts)


def _digest(file: pathlib.Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


@contextlib.contextmanager
def _alone(cache_dir: pathlib.Path, name: str) -> Iterator[None]:
    """Lets one process at a time write the records of this name."""
    lock = cache_dir / "locks" / f"{name}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError as error:
        raise OSError(
            f"records cannot be prepared in {cache_dir} ({error.strerror}): set "
            "config.data.cache_dir to a folder that can be written"
        ) from error
    with locked(lock):
        yield
