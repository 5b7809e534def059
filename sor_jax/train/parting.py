"""What a run says at its end."""

from sor_jax.train.checkpoint import Checkpoints
from sor_jax.train.meter import EXAMPLES, RECORDS, SKIPPED, Meter


def goodbye(done: int, steps: int, checkpoints: Checkpoints, meter: Meter, metric: str) -> str:
    """How far it got, what was left out, where the state is and how to go on.

    Args:
      done: steps done of `steps`.
      checkpoints: of the workdir.
      meter: knows the totals.
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
    totals = meter.totals
    seen = f"{totals.get(EXAMPLES, 0):,} images seen"
    for name, what in ((SKIPPED, "steps"), (RECORDS, "times a damaged record")):
        if totals.get(name):
            seen += f", {totals[name]} {what} skipped"
    return f"{ending}\n{seen}; {after}"
