"""The config and the state that a run begins with."""

import os
import pathlib

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from sor_jax.checkpoints.checkpoint import Checkpoints, DataPosition
from sor_jax.checkpoints.provenance import read_provenance, with_normalisation
from sor_jax.checkpoints.saved import FOLDER, steps_in
from sor_jax.checkpoints.weights import check_same_model, init_variables_from
from sor_jax.distributed.hosts import say
from sor_jax.distributed.sharding import replicated
from sor_jax.train.experiment import Experiment, build_optimizer
from sor_jax.train.meter import Meter
from sor_jax.train.state import TrainState, count_params, create_state


def first_config(config: ConfigDict, workdir: str | os.PathLike) -> ConfigDict:
    """The config with the input normalisation of the weights that the run goes on from.

    These are the workdir's own where it has checkpoints, else those of config.init_from.
    """
    resumed = steps_in(pathlib.Path(workdir) / FOLDER)
    source = workdir if resumed else config.init_from
    return with_normalisation(config, read_provenance(source) if source else None)


class Position:
    """Where a run is, beside its state: the data's position, and what the meter has not told."""

    def __init__(self, batches: DataPosition, meter: Meter):
        self._batches, self._meter = batches, meter

    def get_state(self) -> dict:
        """For JSON."""
        return {"batches": self._batches.get_state(), "meter": self._meter.get_state()}

    def set_state(self, state: dict) -> None:
        """Takes what `get_state` gave."""
        self._batches.set_state(state["batches"])
        self._meter.set_state(state["meter"])


def first_state(
    experiment: Experiment, config, mesh, checkpoints: Checkpoints, position: Position
) -> TrainState:
    """The last checkpoint's state, with `position` moved to its place, or a fresh one.

    A fresh one takes what it can from config.init_from. Either is replicated over the mesh.
    """
    optimizer, everywhere = build_optimizer(config), replicated(mesh)

    def create(key):
        init_key, step_key = jax.random.split(key)
        return create_state(
            experiment.init(init_key), optimizer, step_key, ema=config.train.ema > 0
        )

    key = jax.random.key(config.seed)
    last = checkpoints.last_step
    if last is not None:
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            jax.eval_shape(create, key),
        )
        folder = checkpoints.folder(last)
        check_same_model(folder, abstract.variables)
        say(f"going on from step {last}: {folder}")
        return checkpoints.restore(abstract, position)
    state = jax.jit(create, out_shardings=everywhere)(key)
    if config.init_from:
        variables = {"params": state.params, "frozen": state.frozen}
        state = state.replace(**init_variables_from(config.init_from, variables))
        if state.ema:
            state = state.replace(ema=jax.tree.map(jnp.copy, state.params))
    say(f"starting with {count_params(state.params):,} parameters")
    return state
