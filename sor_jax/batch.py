"""Many photographs: which ones, where results go; reading and writing beside computing."""

import argparse
import json
import os
import pathlib
import re
import shutil
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".ppm")
KINDS = ("picture", "json", "masks", "cutouts", "map", "crop")
_OURS = re.compile(r"\.(ranked|map|crop-[0-9.]+x[0-9.]+)\.\w+$")
_OUR_FOLDERS = (".masks", ".cutouts")
AHEAD = 8  # photographs that are read ahead, and as many that may wait for being written


class Shard(NamedTuple):
    """The index-th (from 1) of `count` parts of a list."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "3/16"."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        shard = cls(*(int(number) for number in match.groups())) if match else cls(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise argparse.ArgumentTypeError(
                f"{text!r}; expected I/N with 1 <= I <= N, such as 3/16"
            )
        return shard


class Job(NamedTuple):
    """A photograph and the path that its results begin with."""

    source: pathlib.Path
    stem: pathlib.Path

    def path(self, kind: str, crop: str | None = None) -> pathlib.Path:
        """Where the result of a kind goes; masks and cutouts are folders of 1.png, 2.png, .."""
        aspect = (crop or "").replace(":", "x")
        ending = {
            "picture": ".ranked.png",
            "json": ".ranked.json",
            "masks": ".masks",
            "cutouts": ".cutouts",
            "map": ".map.png",
            "crop": f".crop-{aspect}.jpg",
        }[kind]
        return self.stem.with_name(self.stem.name + ending)

    def is_done(self, kinds: Sequence[str], crop: str | None) -> bool:
        """Whether all these results are there and no older than the photograph."""
        try:
            changed = self.source.stat().st_mtime
            return bool(kinds) and all(
                self.path(kind, crop).stat().st_mtime >= changed for kind in kinds
            )
        except OSError:
            return False


class Counts(NamedTuple):
    """How it went."""

    ranked: int
    failed: int


def find_jobs(
    sources: Iterable[str | os.PathLike],
    *,
    out: str | os.PathLike | None = None,
    shard: Shard | None = None,
) -> list[Job]:
    """The photographs of files and folders, in the order of their paths within each, no one twice.

    Args:
      sources: files, taken as they are; and folders, from which files with an image's ending are
        taken, with all sub-folders, but hidden ones and results of this program.
      out: the folder for results, which repeats the sub-folders; None is beside each photograph.
      shard: which part of them; the same list gives parts that make up the whole.

    Raises:
      FileNotFoundError: a source is not there.
      ValueError: a folder holds no photograph, or two photographs would write the same files.
    """
    found: dict[pathlib.Path, pathlib.Path] = {}  # source -> its folder within `out`
    for source in map(pathlib.Path, sources):
        if source.is_dir():
            inside = list(_in_folder(source))
            if not inside:
                raise ValueError(f"{source} holds no photograph ({', '.join(ENDINGS)})")
            found |= {path: path.parent.relative_to(source) for path in inside if path not in found}
        elif source.exists():
            found.setdefault(source, pathlib.Path())
        else:
            raise FileNotFoundError(f"{source}: there is no such file or folder")
    root = None if out is None else pathlib.Path(out)
    places = {path: path.parent if root is None else root / inner for path, inner in found.items()}
    times = Counter(places[path] / path.stem for path in found)
    # a.jpg and a.png keep their endings: a.jpg.ranked.png, a.png.ranked.png
    jobs = [
        Job(path, place / (path.stem if times[place / path.stem] == 1 else path.name))
        for path, place in places.items()
    ]
    for stem, count in Counter(job.stem for job in jobs).items():
        if count > 1:
            same = [str(job.source) for job in jobs if job.stem == stem]
            raise ValueError(
                f"{same[0]} and {same[1]} would both write {stem}.*: give the folder that holds "
                "both, or another --out for each"
            )
    return jobs if shard is None else jobs[shard.index - 1 :: shard.count]


def rank_all(
    ranker, jobs: Sequence[Job], *, kinds: Sequence[str], crop: str | None, as_json: bool
) -> Counts:
    """Ranks photographs and writes results; one that fails is named on stderr and passed over.

    Threads read ahead and write behind. On a terminal a bar shows how far it is.

    Args:
      ranker: a sor_jax.Ranker.
      jobs: the photographs.
      kinds: of KINDS, what is written.
      crop: the aspect of "crop".
      as_json: print a line of JSON for each photograph, in the order of `jobs`, in place of tables.
    """
    import tqdm

    failed = 0
    with (
        ThreadPoolExecutor(2) as readers,
        ThreadPoolExecutor(2) as writers,
        tqdm.tqdm(total=len(jobs), unit=" photographs", disable=None) as bar,
    ):

        def tell(text, file):
            bar.clear()
            print(text, file=file, flush=True)

        def finish(job, ranking, error):
            nonlocal failed
            bar.update()
            if error is not None:
                failed += 1
                what = error if str(job.source) in str(error) else f"{job.source}: {error}"
                tell(f"error: {what}", sys.stderr)
            elif as_json:
                tell(json.dumps(ranking.to_dict()), sys.stdout)
            elif len(jobs) == 1:
                tell(f"{ranking!r}\n{_written(job, kinds, crop)}".rstrip(), sys.stdout)

        waiting = deque()
        for batch in _batches(_read_ahead(readers, jobs), ranker.batch_size):
            for job, ranking, error in _rank_batch(ranker, batch):
                write = None if error else writers.submit(save, ranking, job, kinds, crop)
                waiting.append((job, ranking, error, write))
            while len(waiting) > AHEAD:
                finish(*_result(*waiting.popleft()))
        while waiting:
            finish(*_result(*waiting.popleft()))
    return Counts(len(jobs) - failed, failed)


def save(ranking, job: Job, kinds: Sequence[str], crop: str | None) -> None:
    """Writes the results of one photograph, each whole or not at all."""
    from sor_jax.files import write_json, write_png, write_whole

    for kind in kinds:
        path = job.path(kind, crop)
        if kind == "picture":
            write_png(path, ranking.draw())
        elif kind == "json":
            write_json(path, ranking.to_dict() | {"coco": ranking.to_coco()})
        elif kind == "map":
            write_png(path, ranking.rank_map())
        elif kind == "crop":
            write_whole(path, _jpeg(ranking.crop(crop)))
        elif kind == "masks":
            masks = {thing.rank: thing.mask.astype("u1") * 255 for thing in ranking}
            _write_folder(path, masks)
        else:
            _write_folder(path, {thing.rank: thing.cutout() for thing in ranking})


def _write_folder(path: pathlib.Path, pictures: dict) -> None:
    """RANK.png of each picture, in a folder that appears at once."""
    from sor_jax.files import write_png

    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for rank, picture in pictures.items():
            write_png(partial / f"{rank}.png", picture)
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _jpeg(picture) -> bytes:
    import io

    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def _written(job: Job, kinds: Sequence[str], crop: str | None) -> str:
    return "\n".join(f"written: {job.path(kind, crop)}" for kind in kinds)


def _in_folder(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not name.endswith(_OUR_FOLDERS)
        )
        for name in sorted(files):
            is_photograph = name.lower().endswith(ENDINGS) and not name.startswith(".")
            if is_photograph and not _OURS.search(name):
                yield pathlib.Path(path) / name


def _read_ahead(pool: ThreadPoolExecutor, jobs: Sequence[Job]) -> Iterator[tuple]:
    """(job, photograph or None, error or None) in order, a few being read meanwhile."""
    from sor_jax.photograph import read_photograph

    def read(job):
        try:
            return job, read_photograph(job.source), None
        except (OSError, ValueError) as error:
            return job, None, error

    ahead = deque()
    for job in jobs:
        ahead.append(pool.submit(read, job))
        if len(ahead) > AHEAD:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _batches(items: Iterable, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _rank_batch(ranker, batch: list) -> Iterator[tuple]:
    named = [(image, str(job.source)) for job, image, error in batch if error is None]
    rankings = iter(ranker.rank(named) if named else ())
    for job, _, error in batch:
        yield job, None if error else next(rankings), error


def _result(job, ranking, error, write):
    if write is not None and isinstance(failure := write.exception(), Exception):
        if not isinstance(failure, OSError):
            raise failure
        error = failure
    return job, ranking, error
