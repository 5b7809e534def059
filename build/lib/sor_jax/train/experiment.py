"""From a config to what the loop needs: objective, data, predictor and the first state."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from sor_jax.build import build_model, build_objective, build_predict, init_variables
from sor_jax.checkpoints.checkpoint import Checkpoints, DataPosition
from sor_jax.checkpoints.provenance import read_provenance, with_normalisation
from sor_jax.checkpoints.saved import FOLDER, steps_in
from sor_jax.checkpoints.weights import check_same_model, init_variables_from
from sor_jax.datasets.record import Record
from sor_jax.datasets.source import open_split
from sor_jax.distributed.hosts import say
from sor_jax.distributed.sharding import replicated
from sor_jax.evaluation.batches import EvalBatches
from sor_jax.inputs.augment import Augmentation
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.mixture import Epochs, Part, names_of
from sor_jax.inputs.shard import shard_of
from sor_jax.structures import Batch, Detections
from sor_jax.train.meter import Meter
from sor_jax.train.optimizer import PartialObjective, build_optimizer
from sor_jax.train.state import TrainState, count_params, create_state
from sor_jax.train.step import LossFunction


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is trained on what, and how it is looked at.

    Attributes:
      init: key -> {"params", "frozen"}; jax can trace it.
      objective: (params, frozen, batch, rng) -> (total, scalars).
      predict: (variables, batch) -> Detections; jax can trace it.
      train_batches: an endless iterator of numpy batches with get_state, set_state and close.
      eval_batches: batch size -> (numpy batch, records) of the evaluated split, in order.
      records_left_out: how many training records their preparation left out as damaged.
      targets: which objects an evaluation looks for, as of `truth_of`.
      data: tells the training data's content from another; "" where nothing does.
      epochs: training images taken -> how often those of each set of a mixture have come.
    """

    init: Callable[[jax.Array], dict[str, Any]]
    objective: LossFunction
    predict: Callable[[Any, Batch], Detections]
    train_batches: Any
    eval_batches: Callable[[int], Iterable[tuple[dict, list[Record]]]]
    records_left_out: int = 0
    targets: str = "ranked"
    data: str = ""
    epochs: Callable[[int], dict[str, float]] = lambda num_images: {}


def build_experiment(config, *, num_devices: int | None = None) -> Experiment:
    """The experiment that a config describes, for so many devices; None for all there are."""
    model = build_model(config)
    parts = build_parts(config)
    objective, only = build_objective(config, model), tuple(config.optim.trainable)
    return Experiment(
        init=lambda rng: init_variables(model, config, rng),
        objective=PartialObjective(objective, only) if only else objective,
        predict=build_predict(config, model),
        train_batches=train_iterator(
            parts,
            canvas_hw=tuple(config.data.canvas_hw),
            max_objects=config.data.max_objects,
            max_edges=config.data.max_edges,
            batch_size=config.train.batch_size,
            seed=config.seed,
            num_workers=config.data.num_workers,
            on_error=config.data.on_error,
            augmentation=Augmentation(
                flip=config.data.flip,
                scale=tuple(config.data.scale),
                colour=config.data.colour,
                paste=config.data.paste,
            ),
            shard=shard_of(
                config.train.batch_size,
                num_devices=num_devices or jax.device_count(),
                parts=config.train.accumulate,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            ),
        ),
        eval_batches=EvalBatches(config, config.eval.split),
        records_left_out=sum(len(part.source.left_out) for part in parts),
        targets=config.data.targets,
        data=",".join(part.source.fingerprint for part in parts),
        epochs=Epochs(parts) if len(parts) > 1 else lambda num_images: {},
    )


def build_parts(config) -> list[Part]:
    """The data sets that a config trains on: those of config.data.mixture, or its root alone."""
    data = config.data
    if not data.mixture:
        return [Part(open_split(config, "train"), targets=data.targets)]
    names = names_of([root for root, *_ in data.mixture])
    return [
        Part(open_split(config, "train", root=root), weight, targets, name)
        for name, (root, weight, targets) in zip(names, data.mixture, strict=True)
    ]


def initial_config(config: ConfigDict, workdir: str | os.PathLike) -> ConfigDict:
    """The config with the input normalisation of the weights that the run goes on from.

    These are the workdir's own where it has checkpoints, else those of config.init_from.
    """
    resumed = steps_in(pathlib.Path(workdir) / FOLDER)
    source = workdir if resumed else config.init_from
    return with_normalisation(config, read_provenance(source) if source else None)


class RunPosition:
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


def initial_state(
    experiment: Experiment, config, mesh, checkpoints: Checkpoints, position: RunPosition
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
