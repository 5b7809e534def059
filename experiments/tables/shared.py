"""Rows that share one detector: it is trained once, and only ranking branches are, on its regions.

So rows differ in nothing but the branch, and many seeds are affordable.
"""

import dataclasses
import hashlib
import json
import pathlib

import jax
import numpy as np
import tqdm
from flax import traverse_util

from experiments.tables.branches import Schedule, score_branch, train_branch
from experiments.tables.regions import Regions, found_regions, training_regions
from sor_jax.build import build_model
from sor_jax.checkpoints.model import trained_variables
from sor_jax.datasets.source import open_split
from sor_jax.files import write_arrays, write_json
from sor_jax.metrics.scoreboard import summary


class SharedDetector:
    """A trained detector, the regions that it makes of a data set, and the branches on them.

    Attributes:
      config: the detector's experiment, and the data set with its ranks.
      workdir: of its training, or one checkpoint.
      folder: takes regions and branches; what it holds already is kept.
      schedule: of every branch.
      shrink: as of training_regions.
      split: on which branches are scored.
    """

    def __init__(
        self, config, workdir, folder, *, schedule: Schedule, shrink: int, split: str = "test"
    ):
        self.config, self.workdir, self.folder = config, workdir, pathlib.Path(folder)
        self.schedule, self.shrink, self.split = schedule, shrink, split
        self._found = self._variables = None

    def branch(self, row_config, name: str, seed: int) -> dict:
        """The result of one branch, trained and scored unless it lies in the folder.

        Args:
          row_config: whose model.ranking it is.
          name: of the row, a file name.
          seed: of the branch.

        Returns:
          "settings", and what `score` returns.
        """
        path = self.folder / name / f"seed{seed}.json"
        settings = self._settings(row_config)
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept["settings"] == settings:
                return kept
        params = train_branch(
            build_model(row_config).ranking, self.training(), self.schedule, seed=seed
        )
        save_tree(path.with_suffix(".npz"), params)
        result = {"settings": settings, **self.score(row_config, params)}
        write_json(path, result, indent=None)
        return result

    def score(self, row_config, params) -> dict:
        """The "summary" of a branch on the split, and by scene "rho", None where it has none."""
        head, rule = build_model(row_config).ranking, row_config.model.rank_rule
        rows = score_branch(head, params, *self.found(), rank_rule=rule)
        rho = [row["rho"] if row["matched"] >= 2 else None for row in rows]
        return {"summary": summary(rows), "rho": rho}

    def params(self, name: str, seed: int):
        """The parameters of a branch that was trained."""
        return load_tree(self.folder / name / f"seed{seed}.npz")

    def training(self) -> Regions:
        """Regions of the training split, made once."""
        path, made_of = self.folder / "regions.npz", self.folder / "regions.json"
        if made_of.is_file() and json.loads(made_of.read_text()) == self._regions_settings():
            with np.load(path) as kept:
                return Regions(**kept)
        made_of.unlink(missing_ok=True)
        with self._bar("train") as bar:
            regions = training_regions(
                self.config, self.variables(), shrink=self.shrink, progress=bar.update
            )
        write_arrays(path, regions._asdict())
        write_json(made_of, self._regions_settings())
        return regions

    def found(self):
        """Regions and scenes of the scored split, made once a process."""
        if self._found is None:
            with self._bar(self.split) as bar:
                self._found = found_regions(
                    *(self.config, self.variables(), self.split),
                    shrink=self.shrink,
                    progress=bar.update,
                )
        return self._found

    def variables(self):
        """The trained detector's; of its ranking branch nobody makes use."""
        if self._variables is None:
            self._variables = trained_variables(self.config, self.workdir)
        return self._variables

    def _bar(self, split):
        return tqdm.tqdm(
            total=self._length(split), unit=" images", desc=f"regions of {split}", disable=None
        )

    def _length(self, split):
        return len(open_split(self.config, split))

    def _regions_settings(self):
        data = self.config.data
        return {
            "weights": fingerprint(self.variables()),
            "data": [data.name, data.root, data.rank_field, *data.canvas_hw],
            "images": self._length("train"),
            "slots": self.config.model.roi_slots,
            "shrink": self.shrink,
        }

    def _settings(self, row_config):
        detector = self.config.model.to_dict()  # with the thresholds that boxes are found at
        del detector["ranking"]
        settings = {
            "regions": self._regions_settings(),
            "detector": detector,
            "scored": [self.split, self._length(self.split)],
            "schedule": dataclasses.asdict(self.schedule),
            "ranking": row_config.model.ranking.to_dict(),
            "rank_rule": row_config.model.rank_rule,
        }
        return json.loads(json.dumps(settings))  # tuples as they come back


def fingerprint(variables) -> str:
    """Tells a model from others by its arrays, wherever its checkpoint lies."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(variables)):
        digest.update(np.ascontiguousarray(leaf))
    return digest.hexdigest()[:16]


def save_tree(path: pathlib.Path, params) -> None:
    """Writes a tree of arrays as npz, whole or not at all."""
    write_arrays(path, traverse_util.flatten_dict(jax.device_get(params), sep="/"))


def load_tree(path: pathlib.Path):
    """What save_tree wrote."""
    with np.load(path) as arrays:
        return traverse_util.unflatten_dict(dict(arrays), sep="/")
