"""A model to predict with, out of its folder: shipped, converted, exported or trained.

Nothing slow is imported before a model is read.
"""

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from sor_jax import platform, pretrained


class Model(NamedTuple):
    """What a model's folder holds."""

    name: str
    variables: Any  # {"params", "frozen"}
    config: Any
    card: dict  # empty where it has none


def read_model(
    model: str | os.PathLike = pretrained.DEFAULT,
    *,
    threshold: float | None = None,
    rank_rule: str | None = None,
    needs_ranks: bool = True,
) -> Model:
    """The model in a folder, with the rules of finding and ranking that are asked for.

    Where jax has not been imported yet, sor_jax.platform is configured first.

    Args:
      model: the name of a shipped model, a folder of converted or exported weights, or the workdir
        of a training run (its best checkpoint) or one checkpoint in it.
      threshold: the probability above which a region is taken for an object, 0..1; None is the
        model's own.
      rank_rule: "sequential" or "expected", see sor_jax.ranker.load; None is the model's own.
      needs_ranks: False takes a model that was trained without ranks, too.

    Raises:
      FileNotFoundError: there is no such model or folder.
      ValueError: the folder is damaged, holds no whole model, or an argument cannot be used.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; expected a probability, 0..1")
    folder = pretrained.find(model)
    if "jax" not in sys.modules:
        platform.configure()
    from sor_jax.checkpoints.exported import is_exported, read_exported

    if is_exported(folder):
        exported = read_exported(folder)
        variables, config, card = exported.variables, exported.config, exported.card
        refuse_a_start(folder, card.get("fresh") or ())
    else:
        variables, config = read_trained(folder)
        card = {}
    if needs_ranks and not config.get("loss", {}).get("weights", {}).get("rank", 1.0):
        raise ValueError(
            f"{folder} was trained without ranks (config.loss.weights.rank is 0): it finds "
            "objects, but what it says of their ranks means nothing"
        )
    _set(config, threshold=threshold, rank_rule=rank_rule)
    return Model(str(card.get("name") or folder.name), variables, config, card)


def read_trained(folder: str | os.PathLike) -> tuple[Any, Any]:
    """Variables and config of a training run, or of one of its checkpoints."""
    from sor_jax.checkpoints.exported import read_config
    from sor_jax.checkpoints.provenance import read_provenance, with_normalisation
    from sor_jax.checkpoints.saved import FOLDER

    workdir = folder = pathlib.Path(folder).absolute()
    if workdir.parent.name == FOLDER:
        workdir = workdir.parents[1]
    config = read_config(workdir)
    provenance = read_provenance(folder)
    refuse_a_start(folder, provenance.fresh if provenance else ())
    config = with_normalisation(config, provenance)
    return trained_variables(config, folder), config


def trained_variables(config, source: str | os.PathLike):
    """Those of config's model from a workdir, a checkpoint or weights, as of load_variables."""
    from sor_jax.build import variable_shapes
    from sor_jax.checkpoints.weights import load_variables

    return load_variables(source, variable_shapes(config))


def start_variables(config):
    """The variables {"params", "frozen"} of config's model before any training."""
    import jax

    from sor_jax.build import build_model, init_variables

    return init_variables(build_model(config), jax.random.key(config.seed))


def refuse_a_start(folder: str | os.PathLike, fresh: Sequence[str]) -> None:
    """Raises ValueError where weights lack parts, `fresh`, that only a training would give them."""
    if fresh:
        raise ValueError(
            f"{folder} is a start for training, not a whole model: it lacks "
            f"{', '.join(list(fresh)[:4])}, ..; give it to train.py as config.init_from"
        )


def _set(config, *, threshold, rank_rule):
    if threshold is not None:
        is_dense = config.model.detector == "centermask"
        test = config.model.proposals.test if is_dense else config.model.rcnn.test
        test.class_threshold = float(threshold)
    if rank_rule is not None:
        if rank_rule not in ("sequential", "expected"):
            raise ValueError(f"rank_rule is {rank_rule!r}; expected 'sequential' or 'expected'")
        config.model.rank_rule = rank_rule
        config.reference.rank_over_regions = False
