"""Rows of the report: a scoreboard's numbers with an interval, and how well objects are shown."""

import numpy as np

from experiments.photographs.ways import MATCHED
from sor_jax.datasets.record import Record
from sor_jax.metrics.scoreboard import Prediction, Scoreboard, Truth, mask_iou

# Heading -> (key, how the value is written).
_COLUMNS = {
    "SOR multi": ("sor_multi", "{:.3f}"),
    "95 % of it": ("interval", "{0[0]:.2f} to {0[1]:.2f}"),
    "images": ("multi_images", "{:.0f}"),
    "matched": ("matched", "{:.0%}"),
    "SOR": ("sor", "{:.3f}"),
    "used": ("images_used", "{:.0f}"),
    "SA-SOR": ("sa_sor", "{:.3f}"),
    "MAE": ("mae", "{:.3f}"),
    "mask AP50": ("mask_ap50", "{:.3f}"),
    "shown": ("shown", "{:.0%}"),
    "IoU": ("mean_iou", "{:.3f}"),
}


class Row:
    """One way to rank the photographs of a set.

    Attributes:
      examples: (record, truth, prediction, the photograph's scores), one a photograph, if `keep`.
    """

    def __init__(self, *, keep: bool = False):
        self.examples, self._keep = [], keep
        self._board, self._iou = Scoreboard(), []

    def add(self, record: Record, prediction: Prediction, truth: Truth) -> None:
        """Scores the next photograph."""
        scores = self._board.add(truth, prediction)
        iou = mask_iou(truth.encoded, prediction.encoded)
        self._iou.extend(iou.max(axis=1) if iou.shape[1] else np.zeros(len(iou)))
        if self._keep:
            self.examples.append((record, truth, prediction, scores))

    def result(self) -> dict:
        """Scoreboard.result, and interval: 95 % of sor_multi by a bootstrap over photographs;
        matched: share of the objects with a value in the rank map; shown: that of the objects
        that a mask of IoU >= 0.5 shows, mean_iou: its mean over these."""
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
    means = {"interval": None}
    for key in results[0].keys() - means.keys():
        values = [result[key] for result in results]
        means[key] = None if values[0] is None else float(np.mean(values))
    return {key: means[key] for key in results[0]}


def markdown(rows: dict[str, dict]) -> str:
    """A table of name -> result."""
    lines = ["| | " + " | ".join(_COLUMNS) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    for name, result in rows.items():
        cells = [
            "--" if result[key] is None else text.format(result[key]).replace("%", " %")
            for key, text in _COLUMNS.values()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
