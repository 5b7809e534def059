"""From a config to what is trained on what, and how it is looked at."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax
from ml_collections import ConfigDict

from sor_jax.build import build_model, build_objective, build_predict, init_variables
from sor_jax.datasets.record import Record
from sor_jax.datasets.source import open_split
from sor_jax.evaluation.batches import EvalBatches
from sor_jax.inputs.augment import Augmentation
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.mixture import Epochs, Part, names_of
from sor_jax.inputs.shard import shard_of
from sor_jax.structures import Detections, Images
from sor_jax.train.optimizer import PartialObjective
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
    predict: Callable[[Any, Images], Detections]
    train_batches: Any
    eval_batches: Callable[[int], Iterable[tuple[dict, list[Record]]]]
    records_left_out: int = 0
    targets: str = "ranked"
    data: str = ""
    epochs: Callable[[int], dict[str, float]] = lambda num_images: {}


def build_experiment(config: ConfigDict, *, num_devices: int | None = None) -> Experiment:
    """The experiment that a config describes, for so many devices; None for all there are."""
    model = build_model(config)
    init = functools.partial(init_variables, model)
    predict = build_predict(config, model)
    whole, only = build_objective(config, model), tuple(config.optim.trainable)
    objective: LossFunction = PartialObjective(whole, only) if only else whole
    data, train, parts = config.data, config.train, build_parts(config)
    train_batches = train_iterator(
        parts,
        canvas_hw=tuple(data.canvas_hw),
        max_objects=data.max_objects,
        max_edges=data.max_edges,
        batch_size=train.batch_size,
        seed=config.seed,
        num_workers=data.num_workers,
        on_error=data.on_error,
        augmentation=Augmentation(
            flip=data.flip, scale=tuple(data.scale), colour=data.colour, paste=data.paste
        ),
        shard=shard_of(
            train.batch_size,
            num_devices=num_devices or jax.device_count(),
            parts=train.accumulate,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ),
    )
    return Experiment(
        init,
        objective,
        predict,
        train_batches,
        EvalBatches(config, config.eval.split),
        records_left_out=sum(len(part.source.left_out) for part in parts),
        targets=data.targets,
        data=",".join(part.source.fingerprint for part in parts),
        epochs=Epochs(parts) if len(parts) > 1 else lambda num_images: {},
    )


def build_parts(config) -> list[Part]:
    """The data sets that a config trains on: those of config.data.mixture, or its root alone."""
    mixture = config.data.mixture or ((config.data.root, 1.0, config.data.targets),)
    names = names_of([root for root, *_ in mixture])
    return [
        Part(open_split(config, "train", root=root), weight, targets, name)
        for name, (root, weight, targets) in zip(names, mixture, strict=True)
    ]
