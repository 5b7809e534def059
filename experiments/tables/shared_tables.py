"""Tables 4 and 5 on one detector: many seeds, differences scene by scene."""

import pathlib
import time
from collections.abc import Callable, Sequence

from experiments.tables import report
from experiments.tables.branches import Schedule
from experiments.tables.jobs import job_of, load_config
from experiments.tables.paired import sor_difference
from experiments.tables.rows import Row, trained_rows
from experiments.tables.shared import SharedDetector
from sor_jax.datasets.source import open_split

REFERENCES = {4: "baseline", 5: "ppa"}  # the row that the others of a table are compared with
SLOTS = 8  # training regions an image that are kept: true boxes, then the best proposals
MAX_FOUND = 16  # regions an image that are ranked; a scene has at most nine objects


def run_shared(
    numbers: Sequence[int],
    *,
    scale: str,
    data: str,
    seeds: int,
    folder: pathlib.Path,
    flags: Sequence[str],
    schedule: Schedule,
    shrink: int,
    write: Callable[[dict, str], None],
    detector: str = "",
    dry_run: bool = False,
) -> None:
    """Trains what is left to do, seed by seed, and writes each table anew after every branch.

    Args:
      numbers: of the tables, 4 and 5.
      scale, data, flags: as of job_of; `folder` holds all that is made.
      seeds: of the branches; the detector has one.
      schedule, shrink: of the branches, see there.
      write: takes a table and the name of its files.
      detector: a finished training of the same model whose detector is taken as it is; "": one is
        trained without ranks.
      dry_run: only say what would be done.
    """
    if wrong := set(numbers) - set(REFERENCES):
        raise ValueError(f"--shared-detector is for tables 4 and 5, not {sorted(wrong)}")

    def job_at(name, seed=0):
        row = Row(name, name, None, None, None)
        return job_of(row, seed, scale=scale, data=data, folder=folder, flags=flags)

    job = job_at("detection")
    config = load_config(job)
    results = {name: [] for number in numbers for name in _stems(number)}
    if dry_run:
        if not detector:
            _say_detector(job, config)
        _say_branches(config, seeds * len(results), schedule)
        return
    if not detector:
        job.run()
    shared = on_detector(
        *(config, detector or job.workdir, folder / "branches"), schedule=schedule, shrink=shrink
    )
    origin = f"of {detector}" if detector else "one, trained without ranks"
    setting = _setting(config, origin, schedule, shrink)
    for seed in range(seeds):
        for name, done in results.items():
            start = time.perf_counter()
            done.append(shared.branch(load_config(job_at(name)), name, seed))
            _say_done(f"{name} seed {seed}", done[-1], time.perf_counter() - start)
            for number in numbers:
                write(shared_table(number, results, setting=setting), f"table{number}_shared")


def on_detector(config, workdir, folder, **options) -> SharedDetector:
    """The shared detector of a training, its config set to what branches see of it."""
    config.model.roi_slots, config.model.proposals.test.max_detections = SLOTS, MAX_FOUND
    return SharedDetector(config, workdir, folder, **options)


def _say_done(name, result, seconds):
    sor_multi = result["summary"]["sor_multi"]
    print(f"{name}: SOR multi {sor_multi or 0:.4f}, {seconds:.0f} s", flush=True)


def shared_table(number: int, results: dict[str, list[dict]], *, setting: dict) -> dict:
    """As report.table_of; differences are to REFERENCES, in units of SOR multi."""
    stems = _stems(number)
    reference = results[REFERENCES[number]]
    differences = []
    for stem in stems:
        done = results[stem]
        comparable = done and reference and done is not reference
        differences.append(sor_difference(done, reference) if comparable else None)
    measured = [[each["summary"] for each in results[stem]] for stem in stems]
    names = {row.config: row.name for row in trained_rows(number)}
    setting = setting | {"differences": f"to {names[REFERENCES[number]]}"}
    return report.table_of(
        number, trained_rows(number), measured, setting=setting, differences=differences
    )


def _stems(number):
    return [row.config for row in trained_rows(number)]


def _say_detector(job, config):
    if job.metrics() is None:
        print(f"# the detector: {config.train.steps} steps of {config.train.batch_size} images")
        print(job.text())


def _say_branches(config, num_branches, schedule):
    steps = schedule.steps(len(open_split(config, "train")))
    print(f"# {num_branches} ranking branches: {steps} steps of {schedule.batch_size} images each")


def _setting(config, origin, schedule, shrink):
    side = 14 // shrink
    return {
        "detector": f"{origin}, then fixed",
        "branches": f"{schedule.epochs} epochs of the training images of {config.data.name}, "
        f"{schedule.batch_size} a step, regions of {side}x{side}",
        "ranks": f"by model.rank_rule = {config.model.rank_rule!r}",
    }
