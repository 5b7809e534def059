"""What a run says at its end."""

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.train.meter import EXAMPLES, RECORDS, SKIPPED

LEFT_OUT = "data/records_left_out"
_TOLD = (
    (SKIPPED, "steps skipped"),
    (RECORDS, "times a damaged record skipped"),
    (LEFT_OUT, "records left out when they were prepared"),
)


def goodbye(
    done: int, steps: int, checkpoints: Checkpoints, totals: dict[str, int], metric: str
) -> str:
    """How far it got, what was left out, where the state is and how to go on.

    Args:
      done: steps done of `steps`.
      checkpoints: of the workdir.
      totals: counts since the first step, under the log's names.
      metric: config.eval.best_metric.
    """
    last = checkpoints.last_step
    saved = f"saved in {checkpoints.folder(last)}" if last else "nothing to save yet"
    if done < steps:
        ending = f"stopped after step {done} of {steps}, {saved}"
        after = "the same command goes on from there"
    else:
        ending = f"all {steps} steps are done, {saved}"
        best = checkpoints.best_step
        after = f"best by {metric}: {f'step {best}' if best else 'none'}"
    counted = [f"{totals.get(EXAMPLES, 0):,} images seen"]
    counted += [f"{totals[name]} {what}" for name, what in _TOLD if totals.get(name)]
    return f"{ending}\n{', '.join(counted)}; {after}"
