"""Which photographs, and which parts of the ranking branch, are worth something: five-fold, on one
detector.

    python -m experiments.photographs.five_fold --config configs/lite0_pascal_s.py \
        --detector runs/lite0_detection --set FOLDER/pascal_s:train,val \
        --also osie=FOLDER/osie:train --also salicon=FOLDER/salicon:train \
        --choice alone --choice osie --choice osie+salicon --seeds 5 --out results/five_fold

The photographs of --set are dealt into five parts. A branch learns from four of them and what a
--choice names beside, and is scored on the fifth, by both rules of ranks; so every photograph of
--set is scored once for each seed. --row takes rows of configs/tables.py, --rank_loss values of
config.loss.rank_loss. Differences are to the first of all, photograph by photograph. Writes
five_fold.md and .json.
"""

import itertools
import pathlib
import time

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform
from sor_jax.config import CHOICES
from sor_jax.files import write_json, write_whole

_CONFIG = config_flags.DEFINE_config_file("config", None, "The detector.")
_DETECTOR = flags.DEFINE_string("detector", None, "Workdir of its training.")
_SET = flags.DEFINE_string("set", None, "FOLDER:split,split of the photographs to score.")
_ALSO = flags.DEFINE_multi_string("also", [], "NAME=FOLDER:split,split to learn from.")
_CHOICES = flags.DEFINE_multi_string("choice", ["alone"], "alone, or names of --also, with +.")
_ROWS = flags.DEFINE_multi_string("row", ["ppa"], "Ranking branches, rows of configs/tables.py.")
_LOSSES = flags.DEFINE_multi_enum(
    "rank_loss", ["cross_entropy"], CHOICES["loss.rank_loss"], "That branches learn by."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Branches of each kind and part.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 7, "Of a branch.", lower_bound=1)
_OUT = flags.DEFINE_string("out", "results", "Takes the table and the numbers.")


def main(_):
    """Trains all branches and writes the table anew after each seed."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.photographs.folds import FoundRegions, folds, markdown
    from experiments.tables.branches import Schedule
    from experiments.tables.jobs import job_of, load_config
    from experiments.tables.rows import Row

    also = dict(given.split("=", 1) for given in _ALSO.value)
    choices = {text: [] if text == "alone" else text.split("+") for text in _CHOICES.value}
    if unknown := {name for names in choices.values() for name in names} - set(also):
        raise ValueError(
            f"--choice names {sorted(unknown)}; --also has {sorted(also) or 'nothing'}"
        )
    own = FoundRegions(_CONFIG.value, _DETECTOR.value, _SET.value)
    scenes = own.to_score()
    others = {
        name: FoundRegions(_CONFIG.value, _DETECTOR.value, place) for name, place in also.items()
    }
    where = {"scale": "lite0", "data": "assr", "folder": pathlib.Path(_OUT.value)}
    results = {}
    for seed in range(_SEEDS.value):
        for row in _ROWS.value:
            job = job_of(Row(row, row, None, None, None), seed, **where)
            ranking = load_config(job)
            for (text, names), loss in itertools.product(choices.items(), _LOSSES.value):
                start = time.perf_counter()
                name = ", ".join([row, text] + [loss] * (len(_LOSSES.value) > 1))
                schedule = Schedule(epochs=_EPOCHS.value, rank_loss=loss)
                extra = [others[other].to_learn() for other in names]
                scored = folds(ranking, own.to_learn(), extra, scenes, schedule=schedule, seed=seed)
                for rule, images in scored.items():
                    results.setdefault(name, {}).setdefault(rule, []).append(images)
                seconds = time.perf_counter() - start
                print(f"{name}, seed {seed}: {seconds:.0f} s", flush=True)
        page = markdown(results)
        write_json(pathlib.Path(_OUT.value) / "five_fold.json", results, indent=None)
        write_whole(pathlib.Path(_OUT.value) / "five_fold.md", page)
    print(page)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "detector", "set"])
    commands.run(main)
