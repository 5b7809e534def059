"""Fields of a config that name one of a few things, checked before anything starts."""

from ml_collections import ConfigDict

from sor_jax.metrics.scoreboard import Scoreboard


def check_choices(config: ConfigDict) -> None:
    """Raises ValueError with the field and what it may be."""
    names, name = list(Scoreboard().result()), config.eval.best_metric
    if name and name not in names:
        raise ValueError(
            f"config.eval.best_metric is {name!r}; expected one of {', '.join(names)}, or '' to "
            "keep the last checkpoints only"
        )
    name = config.train.on_nonfinite
    if name not in ("raise", "skip"):
        raise ValueError(f"config.train.on_nonfinite is {name!r}; expected 'raise' or 'skip'")
    if not 0 <= config.train.ema < 1:
        raise ValueError(
            f"config.train.ema is {config.train.ema}; expected 0 (none) or a decay below 1"
        )
    if config.train.accumulate < 1:
        raise ValueError(
            f"config.train.accumulate is {config.train.accumulate}; expected 1 or more"
        )
