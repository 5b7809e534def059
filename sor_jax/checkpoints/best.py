"""Which checkpoint scored best: best.json of a workdir."""

import math
import pathlib

from sor_jax.files import read_json, write_json

FILE = "best.json"
LOWER_IS_BETTER = ("mae",)


class BestScore:
    """The best of the scores that it is told.

    Args:
      workdir: holds best.json.
      metric: the name of the score; another one in the file counts for nothing.
    """

    def __init__(self, workdir: pathlib.Path, metric: str):
        self._workdir, self._metric = workdir, metric
        read_best(workdir)  # one that is damaged is told before anything starts

    @property
    def step(self) -> int | None:
        """The step that scored best, None before the first score."""
        return self._read().get("step")

    def note(self, step: int, value: float | None) -> bool:
        """Marks a step as the best if its score is; returns whether it is.

        Equal scores leave the earlier one; None or NaN is no score.
        """
        if not self._metric or value is None or not math.isfinite(value):
            return False
        sign = -1 if self._metric in LOWER_IS_BETTER else 1
        best = self._read()
        if best and sign * value <= sign * best["value"]:
            return False
        best = {"step": step, "metric": self._metric, "value": float(value)}
        write_json(self._workdir / FILE, best, indent=None)
        return True

    def forget(self, step: int) -> None:
        """Unmarks a step whose checkpoint is gone; it may come and score again."""
        if read_best(self._workdir).get("step") == step:
            (self._workdir / FILE).unlink()

    def _read(self):
        best = read_best(self._workdir)
        return best if best.get("metric") == self._metric else {}


def read_best(workdir: pathlib.Path) -> dict:
    """{"step", "metric", "value"} of a workdir; empty where none has scored."""
    path = workdir / FILE
    if not path.exists():
        return {}
    try:
        best = read_json(path)
        return {"step": int(best["step"]), "metric": best["metric"], "value": float(best["value"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error!r}): remove it, and the next evaluation of the run writes "
            "it; without it the last checkpoint is taken"
        ) from None
