"""Branches that learn from four fifths of some photographs and are scored on the last fifth."""

import math

import numpy as np

from experiments.tables.branches import Schedule, score_branch, train_branch
from experiments.tables.paired import paired_difference
from experiments.tables.regions import found_regions, training_regions
from experiments.tables.shared_tables import MAX_FOUND, SLOTS
from sor_jax.build import build_model
from sor_jax.checkpoints.model import trained_variables

FOLDS = 5
RULES = ("sequential", "expected")  # the paper's, and the order of the mean rank
_SCORES = {"sor_multi": "SOR multi", "sa_sor": "SA-SOR"}


class FoundRegions:
    """What the detector makes of some splits of a folder, worked out when it is asked for."""

    def __init__(self, config, detector, place):
        root, _, splits = place.rpartition(":")
        self._config, self._splits = config.copy_and_resolve_references(), splits.split(",")
        self._config.data.update(root=root, mixture=())
        self._config.model.roi_slots = SLOTS
        self._config.model.proposals.test.max_detections = MAX_FOUND
        self._variables, self._learn = trained_variables(self._config, detector), None

    def to_learn(self):
        """Regions as the objective samples them."""
        if self._learn is None:
            parts = [
                training_regions(self._config, self._variables, shrink=2, split=split)
                for split in self._splits
            ]
            self._learn = _joined(parts)
        return self._learn

    def to_score(self):
        """(regions, scenes) that the detector finds."""
        parts = [
            found_regions(self._config, self._variables, split, shrink=2) for split in self._splits
        ]
        return _joined([regions for regions, _ in parts]), [s for _, part in parts for s in part]


def folds(
    row_config, own, extra, scored, *, schedule: Schedule, seed: int
) -> dict[str, list[dict]]:
    """{rule: [the scores of every photograph]} of the branches of one seed.

    Args:
      row_config: whose model.ranking the branches are.
      own: regions to learn from of the photographs, extra: of others, always learnt from.
      scored: (regions, scenes) of the photographs as they are found, in the same order.
      schedule, seed: of the branches.
    """
    head = build_model(row_config).ranking
    found, scenes = scored
    part = np.random.default_rng(0).permutation(len(scenes)) % FOLDS
    images = {rule: [None] * len(scenes) for rule in RULES}
    learnt = len(scenes) - math.ceil(len(scenes) / FOLDS)  # of each fold, so one program does all
    for fold in range(FOLDS):
        training = _joined([_chosen(own, np.flatnonzero(part != fold)[:learnt]), *extra])
        params = train_branch(head, training, schedule, seed=seed)
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
    return type(parts[0])(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _chosen(regions, index):
    return type(regions)(*(rows[index] for rows in regions))


def markdown(results: dict) -> str:
    """A table of {row and choice: {rule: [[scores of a photograph] of a seed]}}; 95 % intervals by
    a bootstrap over photographs and seeds."""

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
