"""Many photographs: reading and writing beside computing."""

import json
import os
import pathlib
import shutil
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from sor_jax.jobs import Job

LEAST_SIDE = 16  # pixels on the model's canvas below which a photograph shows it next to nothing
AHEAD = 4  # photographs that are read ahead, and as many that may wait for being written


class Counts(NamedTuple):
    """How it went."""

    ranked: int
    failed: int


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

    from sor_jax.commands import message

    failed = 0
    with (
        ThreadPoolExecutor(2) as readers,
        ThreadPoolExecutor(2) as writers,
        tqdm.tqdm(total=len(jobs), unit=" photographs", disable=len(jobs) == 1 or None) as bar,
    ):

        def tell(text, file):
            bar.clear()
            print(text, file=file, flush=True)

        def finish(job, ranking, error):
            nonlocal failed
            bar.update()
            if error is None and (doubt := _too_narrow(ranking, ranker.canvas_hw)):
                tell(f"note: {job.source}: {doubt}", sys.stderr)
            if error is not None:
                failed += 1
                what = message(error)
                what = what if str(job.source) in what else f"{job.source}: {what}"
                tell(f"error: {what}", sys.stderr)
            elif as_json:
                tell(json.dumps(ranking.to_dict()), sys.stdout)
            elif len(jobs) == 1:
                tell(f"{ranking!r}\n{_written(job, kinds, crop)}".rstrip(), sys.stdout)

        waiting: deque[tuple] = deque()
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


def _too_narrow(ranking, canvas_hw: tuple[int, int]) -> str | None:
    """What to say of a photograph that the model can hardly see; None of any other."""
    from sor_jax.inputs.transforms import fitted_hw

    height, width = ranking.image.shape[:2]
    seen_height, seen_width = fitted_hw((height, width), canvas_hw)
    if min(seen_height, seen_width) >= LEAST_SIDE:
        return None
    return (
        f"its {width} x {height} pixels are {seen_width} x {seen_height} for the model, too narrow "
        "to find much; cut it into pieces"
    )


def _written(job: Job, kinds: Sequence[str], crop: str | None) -> str:
    return "\n".join(f"written: {job.path(kind, crop)}" for kind in kinds)


def _read_ahead(pool: ThreadPoolExecutor, jobs: Sequence[Job]) -> Iterator[tuple]:
    """(job, photograph or None, error or None) in order, a few being read meanwhile."""
    from sor_jax.photograph import read_photograph

    def read(job):
        try:
            return job, read_photograph(job.source), None
        except (OSError, ValueError) as error:
            return job, None, error

    ahead: deque[Future[tuple]] = deque()
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
