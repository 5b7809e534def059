"""From a config to what the loop needs: a model to start, an objective, data, a predictor."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import jax
import optax

from sor_jax.build import build_model, build_objective, build_predict, init_variables
from sor_jax.datasets.record import Record
from sor_jax.datasets.source import open_split
from sor_jax.evaluation.batches import build_eval_batches
from sor_jax.inputs.augment import Augmentation
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.mixture import Epochs, Part, check_mixture, names_of
from sor_jax.inputs.share import share_of
from sor_jax.structures import Batch, Detections
from sor_jax.train.optimizer import make_optimizer
from sor_jax.train.parts import PartialObjective, train_only
from sor_jax.train.schedule import warmup_multistep
from sor_jax.train.step import Objective


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
      epochs: training images taken -> how often those of each set of a mixture have come.
    """

    init: Callable[[jax.Array], dict[str, Any]]
    objective: Objective
    predict: Callable[[Any, Batch], Detections]
    train_batches: Any
    eval_batches: Callable[[int], Iterable[tuple[dict, list[Record]]]]
    records_left_out: int = 0
    targets: str = "ranked"
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
            share=share_of(
                config.train.batch_size,
                num_devices=num_devices or jax.device_count(),
                parts=config.train.accumulate,
                process_index=jax.process_index(),
                process_count=jax.process_count(),
            ),
        ),
        eval_batches=build_eval_batches(config, config.eval.split),
        records_left_out=sum(len(part.source.left_out) for part in parts),
        targets=config.data.targets,
        epochs=Epochs(parts) if len(parts) > 1 else lambda num_images: {},
    )


def build_parts(config) -> list[Part]:
    """The data sets that a config trains on: those of config.data.mixture, or its root alone."""
    data = config.data
    if not data.mixture:
        return [Part(open_split(config, "train"), targets=data.targets)]
    check_mixture(data.mixture)
    names = names_of([root for root, *_ in data.mixture])
    return [
        Part(open_split(config, "train", root=root), weight, targets, name)
        for name, (root, weight, targets) in zip(names, data.mixture, strict=True)
    ]


def build_schedule(config) -> optax.Schedule:
    """The learning rate of config.optim."""
    optim = config.optim
    return warmup_multistep(
        optim.learning_rate,
        warmup_steps=optim.warmup_steps,
        warmup_factor=optim.warmup_factor,
        milestones=tuple(optim.milestones),
    )


def build_optimizer(config) -> optax.GradientTransformation:
    """The optimizer of config.optim."""
    optim = config.optim
    optimizer = make_optimizer(
        optim.name,
        build_schedule(config),
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
        clip_norm=optim.clip_norm,
    )
    return train_only(optimizer, tuple(optim.trainable)) if optim.trainable else optimizer
