"""Differences between two rows of a table, scene by scene, and how sure they are."""

from collections.abc import Sequence

import numpy as np

_RESAMPLES = 10_000


def sor_difference(
    ours: Sequence[dict], theirs: Sequence[dict]
) -> tuple[float, float, float] | None:
    """paired_difference in SOR multi of the results of two rows' seeds."""
    # Half, because SOR has rho moved to 0..1.
    return paired_difference(rho_of(ours) / 2, rho_of(theirs) / 2)


def rho_of(results: Sequence[dict]) -> np.ndarray:
    """f64[seeds, scenes] from the results of a row's seeds, nan where it is undefined."""
    return np.array([[np.nan if r is None else r for r in each["rho"]] for each in results])


def paired_difference(
    ours: np.ndarray, theirs: np.ndarray, *, seed: int = 0
) -> tuple[float, float, float] | None:
    """The mean of ours - theirs over the scenes that both define, and its 95 % interval.

    The interval is a bootstrap's over scenes and over seeds at once: each resample draws as many
    scenes as there are, and for each side as many seeds, with replacement.

    Args:
      ours, theirs: f[seeds, scenes] of the same scenes; nan = undefined.
      seed: of the resamples.

    Returns:
      (mean, low, high), None where no scene is defined by all runs of both.
    """
    both = np.isfinite(ours).all(axis=0) & np.isfinite(theirs).all(axis=0)
    ours, theirs = ours[:, both], theirs[:, both]
    if ours.shape[1] == 0:
        return None
    rng = np.random.default_rng(seed)
    scenes = ours.shape[1]
    means = []
    for _ in range(_RESAMPLES // 100):  # 100 at a time
        # How often each scene is drawn; the same scenes for both sides.
        drawn = rng.multinomial(scenes, np.full(scenes, 1 / scenes), size=100) / scenes
        means.append(_of_seeds(rng, drawn @ ours.T) - _of_seeds(rng, drawn @ theirs.T))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(ours.mean() - theirs.mean()), float(low), float(high)


def _of_seeds(rng, means):
    """f[resamples]: means f[resamples, seeds] averaged over as many seeds, drawn anew in each."""
    drawn = rng.integers(0, means.shape[1], means.shape)
    return np.take_along_axis(means, drawn, axis=1).mean(axis=1)
