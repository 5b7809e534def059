"""Rows of the report: a scoreboard's numbers with an interval, and how well objects are shown."""

import numpy as np

from experiments.photographs.helped import MATCHED, best_iou
from sor_jax.datasets.record import Record
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction, Scoreboard, Truth

COLUMNS = {
    "SOR multi": "sor_multi",
    "95 % of it": "interval",
    "images": "multi_images",
    "matched": "matched",
    "SOR": "sor",
    "used": "images_used",
    "SA-SOR": "sa_sor",
    "MAE": "mae",
    "mask AP50": "mask_ap50",
    "shown": "shown",
    "IoU": "mean_iou",
}
"""Headings -> keys. shown: share of the objects that a mask of IoU >= 0.5 shows; IoU: its mean."""


class Row:
    """One way to rank the photographs of a set.

    Attributes:
      examples: (record, truth, prediction, the photograph's scores), one a photograph; without the
        first three unless `keep`.
    """

    def __init__(self, *, keep: bool = False):
        self.examples, self._keep = [], keep
        self._board, self._iou = Scoreboard(), []

    def add(self, record: Record, prediction: Prediction, truth: Truth | None = None) -> None:
        """Scores the next photograph."""
        truth = truth_of(record) if truth is None else truth
        scores = self._board.add(truth, prediction)
        self._iou.extend(best_iou(truth, prediction))
        if self._keep:
            self.examples.append((record, truth, prediction, scores))

    def result(self) -> dict:
        """Scoreboard.result with interval, matched, shown and mean_iou."""
        rows = [image.row for image in self._board.images]
        rho = [row["rho"] for row in rows if row["matched"] >= 2 and row["rho"] is not None]
        iou = np.array(self._iou)
        shown = iou >= MATCHED
        numbers = self._board.result()
        return numbers | {
            "interval": bootstrap((np.array(rho) + 1) / 2),
            "matched": numbers["objects_matched"] / max(numbers["objects"], 1),
            "shown": float(shown.mean()) if len(iou) else None,
            "mean_iou": float(iou[shown].mean()) if shown.any() else None,
        }


def bootstrap(values: np.ndarray, *, draws: int = 2000, seed: int = 0) -> list[float] | None:
    """The middle 95 % of the mean over photographs that are drawn with replacement."""
    if not len(values):
        return None
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    return [float(x) for x in np.percentile(means, [2.5, 97.5])]


def mean_result(results: list[dict]) -> dict:
    """The mean of several draws of one rule; no interval, which is one draw's."""
    if len(results) == 1:
        return results[0]
    return {
        key: None
        if key == "interval" or results[0][key] is None
        else float(np.mean([result[key] for result in results]))
        for key in results[0]
    }


def markdown(rows: dict[str, dict]) -> str:
    """A table of name -> result."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, result in rows.items():
        cells = (_text(key, result[key]) for key in COLUMNS.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _text(key, value) -> str:
    if value is None:
        return "--"
    if key == "interval":
        return " to ".join(f"{x:.2f}" for x in value)
    if key in ("matched", "shown"):
        return f"{100 * value:.0f} %"
    return f"{value:.0f}" if key in ("multi_images", "images_used") else f"{value:.3f}"
