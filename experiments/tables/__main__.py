"""A table of the paper in one command: every row trained, evaluated and written down.

    python -m experiments.tables --table 4 --scale lite --data scenes --seeds 5
    python -m experiments.tables --table 4 --scale full --data assr --config.data.root=FOLDER
    python -m experiments.tables --table 4 --table 5 --shared-detector --seeds 5

The second is the paper's own experiment. The third trains one detector, and of each row only the
ranking branch on its regions. --dry-run says what would be done and how long it takes. Rows that
are done are kept; the same command goes on where it was interrupted. docs/tables.md tells more.
"""

import pathlib
import sys

from absl import flags, logging

from experiments.plots import table_plot, write_figure
from experiments.tables import report
from experiments.tables.jobs import job_of, load_config, seconds_an_image, with_first_stages
from experiments.tables.rows import TABLES, trained_rows
from sor_jax import commands, platform
from sor_jax.files import write_json, write_whole

_TABLES = flags.DEFINE_multi_enum("table", None, [str(n) for n in TABLES], "Which of the paper's.")
_SCALE = flags.DEFINE_enum("scale", "lite", ["full", "lite", "lite0"], "The models.")
_DATA = flags.DEFINE_enum("data", "scenes", ["assr", "scenes"], "Photographs, or the built-in set.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "How many seeds, from 0 on.", lower_bound=1)
_SHARED = flags.DEFINE_bool("shared-detector", False, "Train ranking branches on one detector.")
_DETECTOR = flags.DEFINE_string(
    "detector", "", "With --shared-detector: a finished workdir of the same model, to be shared."
)
_DRY = flags.DEFINE_bool("dry-run", False, "Print commands, steps and hours, do nothing.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/reproduce", "Folder of all trainings.")
_OUT = flags.DEFINE_string("out", "results", "Folder of tables, numbers and plots.")
_EPOCHS = flags.DEFINE_integer("epochs", 10, "Of a branch on a shared detector.", lower_bound=1)
_SHRINK = flags.DEFINE_enum(
    "shrink", "2", ["1", "2"], "Branches on a shared detector see regions of 14x14 (1) or 7x7 (2)."
)


def all_jobs(number: int, seed: int) -> list:
    """The last job of every trained row of a table."""
    where = {"scale": _SCALE.value, "data": _DATA.value, "folder": _folder()}
    return [job_of(row, seed, **where, flags=_overrides) for row in trained_rows(number)]


def _folder() -> pathlib.Path:
    return pathlib.Path(_WORKDIR.value) / f"{_SCALE.value}-{_DATA.value}"


def run_table(number: int) -> None:
    """Trains what is left of a table, seed by seed, and writes it anew after every job."""
    rows = trained_rows(number)
    measured = [[] for _ in rows]
    for seed in range(_SEEDS.value):
        for place, job in enumerate(all_jobs(number, seed)):
            for each in with_first_stages(job):
                print(f"\n== {each.name}, seed {seed}: {each.workdir}", flush=True)
                metrics = each.run()
            measured[place].append(metrics)
            setting = {"models": _SCALE.value, "data": _DATA.value, "training": "each row alone"}
            setting |= {"changed": " ".join(_overrides)} if _overrides else {}
            write(report.table_of(number, rows, measured, setting=setting), f"table{number}")
    print((pathlib.Path(_OUT.value) / f"table{number}.md").read_text())


def write(table: dict, name: str) -> None:
    """The page, the numbers and the plot of a table."""
    out = pathlib.Path(_OUT.value)
    text = report.markdown(table) + f"\n![{table['title']}]({name}.png)\n"
    write_figure(out / f"{name}.png", table_plot(table))
    write_json(out / f"{name}.json", table)
    write_whole(out / f"{name}.md", text)


def dry_run(number: int) -> None:
    """Prints the commands of a table with their steps, and the hours by a short timing."""
    hours, timed = 0.0, {}
    for seed in range(_SEEDS.value):
        for job in (each for last in all_jobs(number, seed) for each in with_first_stages(last)):
            config = load_config(job)
            if job.metrics() is not None:
                print(f"# {job.workdir}: done")
                continue
            # Rows of one detector differ in the ranking branch alone.
            kind = (config.model.detector, config.model.backbone)
            if kind not in timed:
                timed[kind] = seconds_an_image(job)
            seconds, device = timed[kind]
            its_hours = config.train.steps * config.train.batch_size * seconds / 3600
            hours += its_hours
            print(
                f"# {config.train.steps} steps of {config.train.batch_size} images, "
                f"{its_hours:.2f} h on one {device} at {seconds:.3f} s an image"
            )
            print(job.text(), flush=True)
    print(f"# table {number}: {hours:.2f} h of training in all on one device, evaluations beside")


def main(_):
    """One table after the other."""
    if _SHARED.value:
        platform.configure()
        logging.set_verbosity(logging.WARNING)
        from experiments.tables.branches import Schedule
        from experiments.tables.shared_tables import run_shared

        run_shared(
            [int(number) for number in _TABLES.value],
            scale=_SCALE.value,
            data=_DATA.value,
            seeds=_SEEDS.value,
            folder=_folder(),
            flags=_overrides,
            detector=_DETECTOR.value,
            schedule=Schedule(epochs=_EPOCHS.value),
            shrink=int(_SHRINK.value),
            write=write,
            dry_run=_DRY.value,
        )
        return
    if _DETECTOR.value:
        raise ValueError("--detector goes with --shared-detector")
    for number in _TABLES.value:
        (dry_run if _DRY.value else run_table)(int(number))


if __name__ == "__main__":
    flags.mark_flag_as_required("table")
    # Fields of the config are for the trainings.
    _overrides = tuple(word for word in sys.argv[1:] if word.startswith("--config."))
    commands.run(main, [word for word in sys.argv if word not in _overrides])
