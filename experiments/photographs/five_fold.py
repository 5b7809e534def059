"""Which photographs, and which parts of the ranking branch, are worth something: five-fold, on one
detector.

    python -m experiments.photographs.five_fold --config configs/lite0_pascal_s.py \
        --detector runs/lite0_detection --set FOLDER/pascal_s:train,val \
        --also osie=FOLDER/osie:train --also salicon=FOLDER/salicon:train \
        --choice alone --choice osie --choice osie+salicon --seeds 5 --out results/five_fold

The photographs of --set are dealt into five parts. A branch learns from four of them and what a
--choice names beside, and is scored on the fifth, by both rules of ranks; so every photograph of
--set is scored once for each seed. --row takes rows of configs/tables.py. Differences are to the
first row and choice, photograph by photograph. Writes five_fold.md and .json.
"""

import math
import pathlib
import time

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform
from sor_jax.files import write_json, write_whole

_CONFIG = config_flags.DEFINE_config_file("config", None, "The detector.")
_DETECTOR = flags.DEFINE_string("detector", None, "Workdir of its training.")
_SET = flags.DEFINE_string("set", None, "FOLDER:split,split of the photographs to score.")
_ALSO = flags.DEFINE_multi_string("also", [], "NAME=FOLDER:split,split to learn from.")
_CHOICES = flags.DEFINE_multi_string("choice", ["alone"], "alone, or names of --also, with +.")
_ROWS = flags.DEFINE_multi_string("row", ["ppa"], "Ranking branches, rows of configs/tables.py.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Branches of each kind and part.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 7, "Of a branch.", lower_bound=1)
_OUT = flags.DEFINE_string("out", "results", "Takes the table and the numbers.")

FOLDS = 5
RULES = ("sequential", "expected")  # the paper's, and the order of the mean rank
_SCORES = {"sor_multi": "SOR multi", "sa_sor": "SA-SOR"}


def main(_):
    """Trains all branches and writes the table anew after each seed."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.tables.jobs import job_of, load_config
    from experiments.tables.rows import Row

    also = dict(given.split("=", 1) for given in _ALSO.value)
    choices = {text: [] if text == "alone" else text.split("+") for text in _CHOICES.value}
    if unknown := {name for names in choices.values() for name in names} - set(also):
        raise ValueError(
            f"--choice names {sorted(unknown)}; --also has {sorted(also) or 'nothing'}"
        )
    own = _Regions(_CONFIG.value, _DETECTOR.value, _SET.value)
    scenes = own.to_score()
    others = {name: _Regions(_CONFIG.value, _DETECTOR.value, place) for name, place in also.items()}
    where = {"scale": "lite0", "data": "assr", "folder": pathlib.Path(_OUT.value)}
    results = {}
    for seed in range(_SEEDS.value):
        for row in _ROWS.value:
            job = job_of(Row(row, row, None, None, None), seed, **where)
            ranking = load_config(job)
            for text, names in choices.items():
                start = time.perf_counter()
                extra = [others[name].to_learn() for name in names]
                scored = folds(ranking, own.to_learn(), extra, scenes, seed)
                for rule, images in scored.items():
                    results.setdefault(f"{row}, {text}", {}).setdefault(rule, []).append(images)
                print(
                    f"{row}, {text}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True
                )
        text = markdown(results)
        write_json(pathlib.Path(_OUT.value) / "five_fold.json", results, indent=None)
        write_whole(pathlib.Path(_OUT.value) / "five_fold.md", text)
    print(text)


class _Regions:
    """What the detector makes of some splits of a folder, worked out when it is asked for."""

    def __init__(self, config, detector, place):
        from experiments.tables.shared_tables import MAX_FOUND, SLOTS
        from sor_jax.evaluation.checkpoint import trained_variables

        root, _, splits = place.rpartition(":")
        self._config, self._splits = config.copy_and_resolve_references(), splits.split(",")
        self._config.data.update(root=root, mixture=())
        self._config.model.roi_slots = SLOTS
        self._config.model.proposals.test.max_detections = MAX_FOUND
        self._variables, self._learn = trained_variables(self._config, detector), None

    def to_learn(self):
        from experiments.tables.regions import training_regions

        if self._learn is None:
            parts = [
                training_regions(self._config, self._variables, shrink=2, split=split)
                for split in self._splits
            ]
            self._learn = _joined(parts)
        return self._learn

    def to_score(self):
        """(regions, scenes) that the detector finds."""
        from experiments.tables.regions import found_regions

        parts = [
            found_regions(self._config, self._variables, split, shrink=2) for split in self._splits
        ]
        return _joined([regions for regions, _ in parts]), [s for _, part in parts for s in part]


def folds(row_config, own, extra, scored, seed) -> dict[str, list[dict]]:
    """{rule: [scores of every photograph]} of the branches of one seed."""
    import numpy as np

    from experiments.tables.branches import Schedule, score_branch, train_branch
    from sor_jax.build import build_model

    head = build_model(row_config).ranking
    found, scenes = scored
    part = np.random.default_rng(0).permutation(len(scenes)) % FOLDS
    images = {rule: [None] * len(scenes) for rule in RULES}
    learnt = len(scenes) - math.ceil(len(scenes) / FOLDS)  # of each fold, so one program does all
    for fold in range(FOLDS):
        training = _joined([_chosen(own, np.flatnonzero(part != fold)[:learnt]), *extra])
        params = train_branch(head, training, Schedule(epochs=_EPOCHS.value), seed=seed)
        held_out = np.flatnonzero(part == fold)
        for rule in RULES:
            given = (_chosen(found, held_out), [scenes[index] for index in held_out])
            rows = score_branch(head, params, *given, rank_rule=rule)
            for index, row in zip(held_out, rows, strict=True):
                several = row["matched"] >= 2 and row["rho"] is not None
                sor_multi = (row["rho"] + 1) / 2 if several else None
                images[rule][index] = {"sor_multi": sor_multi, "sa_sor": row["sa_sor"]}
    return images


def _joined(parts):
    import numpy as np

    return type(parts[0])(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _chosen(regions, index):
    return type(regions)(*(rows[index] for rows in regions))


def markdown(results: dict) -> str:
    """A table of {row and choice: {rule: [[scores of a photograph] of a seed]}}; 95 % intervals by
    a bootstrap over photographs and seeds."""
    import numpy as np

    from experiments.tables.paired import paired_difference

    def numbers(seeds, key):
        return np.array([[np.nan if i[key] is None else i[key] for i in s] for s in seeds])

    first = next(iter(results.values()))
    heads = [f"{title} | difference" for title in _SCORES.values()]
    lines = ["| branch, photographs | rule | " + " | ".join(heads) + " |", "|---" * 6 + "|"]
    for name, rules in results.items():
        for rule, seeds in rules.items():
            cells = []
            for key in _SCORES:
                ours, reference = numbers(seeds, key), numbers(first[rule], key)
                mean = paired_difference(ours, np.zeros_like(ours))
                cells.append("{:.3f} ({:.3f} to {:.3f})".format(*mean) if mean else "--")
                apart = None if rules is first else paired_difference(ours, reference)
                cells.append("{:+.3f} [{:+.3f}, {:+.3f}]".format(*apart) if apart else "")
            lines.append(f"| {name} | {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "detector", "set"])
    commands.run(main)
