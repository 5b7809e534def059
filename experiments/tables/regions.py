"""The regions of a split under a fixed detector, pooled once: all that a ranking branch sees."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.build import build_model, build_objective, build_predict
from sor_jax.datasets.source import open_split
from sor_jax.detectors.objective import image_keys
from sor_jax.distributed.sharding import make_mesh, make_predict, put
from sor_jax.evaluation.loop import in_photograph
from sor_jax.evaluation.truth import truth_of
from sor_jax.inputs.loader import eval_batches
from sor_jax.metrics.scoreboard import Prediction, Truth, mask_iou
from sor_jax.structures import NO_RANK, Batch


class Regions(NamedTuple):
    """Up to R regions of each of N images."""

    pooled: np.ndarray  # f16[N, R, S, S, C + 2] features, then the pooled y and x maps
    xyxy: np.ndarray  # f32[N, R, 4]
    valid: np.ndarray  # bool[N, R]
    owner: np.ndarray  # i32[N, R] the object that a region shows, 0 .. M - 1; NO_RANK if unknown
    rank_class: np.ndarray  # i32[N, R] of that object, NO_RANK if unknown
    valid_hw: np.ndarray  # i32[N, 2]


class Scene(NamedTuple):
    """What is needed to score an image once its regions have ranks."""

    truth: Truth
    prediction: Prediction  # every region; rank_class is the region's slot among the R
    iou: np.ndarray  # f[n, p] of the masks of objects and regions


def training_regions(
    config, variables, *, shrink: int = 1, progress: Callable[[int], None] = lambda _: None
) -> Regions:
    """Regions of the training split as the objective samples them: ground-truth boxes, then the
    proposals that overlap them, in config.model.roi_slots slots.

    Args:
      config: an experiment; its ranking branch plays no part.
      variables: of its model.
      shrink: regions are averaged over squares of so many cells, 14x14 to 7x7 by 2.
      progress: called with the number of images done since the last call.
    """
    objective = build_objective(config, build_model(config))

    def sample(variables, batch: Batch):
        model = objective.model.bind(variables)
        levels = model.features(batch.image, batch.valid_hw)
        keys = image_keys(jax.random.key(0), len(batch.valid))
        _, rois = objective.detect(model, levels, batch, batch.gt, keys)
        pooled, _ = model.pool(levels, rois.boxes, batch.valid_hw)
        rank_class = jnp.take_along_axis(batch.gt.rank_class, rois.gt_index, axis=1)
        known = [jnp.where(rois.boxes.valid, x, NO_RANK) for x in (rois.gt_index, rank_class)]
        return Regions(small(pooled, shrink), *_boxes(rois.boxes), *known, batch.valid_hw)

    sample, parts = _compiled(sample), []
    for batch, records in _batches(config, "train"):
        found = sample(variables, batch)
        parts.append(_first(found, len(records)))
        progress(len(records))
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)


def found_regions(
    config, variables, split: str, *, shrink: int = 1, progress=lambda _: None
) -> tuple[Regions, list[Scene]]:
    """What the detector finds in a split, as at inference, and how to score it; else as above."""
    model = build_model(config)
    predictor = build_predict(config, model)

    def find(variables, batch: Batch):
        found = predictor(variables, batch)
        bound = model.bind(variables)
        levels = bound.features(batch.image, batch.valid_hw)
        pooled, _ = bound.pool(levels, found.boxes, batch.valid_hw)
        slot = jnp.arange(found.boxes.valid.shape[1], dtype=jnp.int32)
        slot = jnp.where(found.boxes.valid, slot, NO_RANK)
        unknown = [jnp.full_like(slot, NO_RANK)] * 2
        regions = Regions(small(pooled, shrink), *_boxes(found.boxes), *unknown, batch.valid_hw)
        return regions, dataclasses.replace(found, rank_class=slot)

    find, parts, scenes = _compiled(find), [], []
    for batch, records in _batches(config, split):
        regions, found = find(variables, batch)
        parts.append(_first(regions, len(records)))
        for slot, record in enumerate(records):
            truth = truth_of(record)
            prediction = in_photograph(found, slot, batch["valid_hw"][slot], record)
            scenes.append(Scene(truth, prediction, mask_iou(truth.encoded, prediction.encoded)))
        progress(len(records))
    return jax.tree.map(lambda *rows: np.concatenate(rows), *parts), scenes


def _compiled(function):
    return make_predict(function, make_mesh(jax.local_devices()[:1]), put=put)


def _first(regions: Regions, count: int) -> Regions:
    return jax.tree.map(lambda rows: rows[:count], regions)


def _batches(config, split):
    return eval_batches(
        open_split(config, split),
        canvas_hw=tuple(config.data.canvas_hw),
        batch_size=config.eval.batch_size,
        max_objects=config.data.max_objects,
    )


def _boxes(boxes):
    return boxes.xyxy, boxes.valid


def small(pooled, shrink):
    """f16[B, R, S / shrink, S / shrink, C]: means over squares of shrink x shrink cells."""
    batch, slots, side, _, channels = pooled.shape
    cells = (batch, slots, side // shrink, shrink, side // shrink, shrink, channels)
    return pooled.reshape(cells).mean((3, 5)).astype(jnp.float16)
