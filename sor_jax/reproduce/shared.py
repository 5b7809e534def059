"""Rows that share one detector: it is trained once, and only ranking branches are, on its regions.

So rows differ in nothing but the branch, and many seeds are affordable.
"""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
import tqdm
from flax import traverse_util

from sor_jax.build import build_model
from sor_jax.files import write_arrays, write_json
from sor_jax.inputs.source import open_split
from sor_jax.metrics.scoreboard import summary
from sor_jax.reproduce.branches import Schedule, score_branch, train_branch
from sor_jax.reproduce.regions import Regions, found_regions, training_regions
from sor_jax.train.evaluation import trained_variables


class SharedDetector:
    """A trained detector, the regions that it makes of a data set, and the branches on them.

    Attributes:
      config: the detector's experiment; its seed is always 0.
      folder: takes regions and branches; what it holds already is kept.
      schedule: of every branch.
      shrink: as of training_regions.
    """

    def __init__(self, config, workdir, folder, *, schedule: Schedule, shrink: int):
        self.config, self.workdir, self.folder = config, workdir, pathlib.Path(folder)
        self.schedule, self.shrink = schedule, shrink
        self._test = None

    def branch(self, row_config, name: str, seed: int) -> dict:
        """The result of one branch, trained and scored unless it lies in the folder.

        Args:
          row_config: whose model.ranking it is.
          name: of the row, a file name.
          seed: of the branch.

        Returns:
          "summary" of the test split, and by scene (nan -> None) "rho" and "matched".
        """
        path = self.folder / name / f"seed{seed}.json"
        settings = self._settings(row_config)
        if path.is_file():
            kept = json.loads(path.read_text())
            if kept["settings"] == settings:
                return kept
        head = build_model(row_config).ranking
        params = train_branch(head, self.training(), self.schedule, seed=seed)
        rows = score_branch(head, params, *self.test())
        save_tree(path.with_suffix(".npz"), params)
        result = {
            "settings": settings,
            "summary": summary(rows),
            "rho": [row["rho"] if row["matched"] >= 2 else None for row in rows],
        }
        write_json(path, result, indent=None)
        return result

    def params(self, name: str, seed: int):
        """The parameters of a branch that was trained."""
        return load_tree(self.folder / name / f"seed{seed}.npz")

    def training(self) -> Regions:
        """Regions of the training split, made once."""
        path = self.folder / f"regions_{self._data_name()}.npz"
        if path.is_file():
            with np.load(path) as kept:
                return Regions(**kept)
        with self._bar("train") as bar:
            regions = training_regions(
                self.config, self.variables(), shrink=self.shrink, progress=bar.update
            )
        write_arrays(path, regions._asdict())
        return regions

    def test(self):
        """Regions and scenes of the test split, made once a process."""
        if self._test is None:
            with self._bar("test") as bar:
                self._test = found_regions(
                    self.config, self.variables(), "test", shrink=self.shrink, progress=bar.update
                )
        return self._test

    def variables(self):
        """The trained detector's; of its ranking branch nobody makes use."""
        return trained_variables(self.config, self.workdir)

    def _bar(self, split):
        return tqdm.tqdm(
            total=self._length(split), unit=" images", desc=f"regions of {split}", disable=None
        )

    def _data_name(self):
        size = "x".join(map(str, self.config.data.image_hw))
        images, slots = self._length("train"), self.config.model.roi_slots
        return f"{self.config.data.name}_{size}_{images}_{slots}slots_by{self.shrink}"

    def _length(self, split):
        return len(open_split(self.config, split))

    def _settings(self, row_config):
        return json.loads(
            json.dumps(
                {
                    "regions": self._data_name(),
                    "test": self._length("test"),
                    "schedule": dataclasses.asdict(self.schedule),
                    "ranking": row_config.model.ranking.to_dict(),
                }
            )
        )


def rho_of(results: Sequence[dict]) -> np.ndarray:
    """f64[seeds, scenes] from the results of a row's seeds, nan where it is undefined."""
    return np.array([[np.nan if r is None else r for r in each["rho"]] for each in results])


def save_tree(path: pathlib.Path, params) -> None:
    """Writes a tree of arrays as npz, whole or not at all."""
    write_arrays(path, traverse_util.flatten_dict(jax.device_get(params), sep="/"))


def load_tree(path: pathlib.Path):
    """What save_tree wrote."""
    with np.load(path) as arrays:
        return traverse_util.unflatten_dict(dict(arrays), sep="/")
