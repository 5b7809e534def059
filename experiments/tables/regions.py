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
from sor_jax.evaluation.loop import in_photograph, predicted
from sor_jax.evaluation.truth import truth_of
from sor_jax.inputs.eval_batches import eval_batches
from sor_jax.metrics.scoreboard import Prediction, Truth
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


def training_regions(
    config,
    variables,
    *,
    shrink: int = 1,
    split: str = "train",
    progress: Callable[[int], None] = lambda _: None,
) -> Regions:
    """Regions of a split as the objective samples them: ground-truth boxes, then the
    proposals that overlap them, in config.model.roi_slots slots.

    Args:
      config: an experiment; its ranking branch plays no part.
      variables: of its model.
      shrink: regions are averaged over squares of so many cells, 14x14 to 7x7 by 2.
      split: whose photographs.
      progress: called with the number of images done since the last call.
    """
    objective = build_objective(config, build_model(config))

    def sample(variables, batch: Batch):
        model = objective.model.bind(variables)
        levels = model.features(batch.image, batch.valid_hw)
        keys = image_keys(jax.random.key(0), len(batch.valid))
        _, rois = objective.detect(model, levels, batch, batch.gt, keys)
        rank_class = jnp.take_along_axis(batch.gt.rank_class, rois.gt_index, axis=1)
        known = [jnp.where(rois.boxes.valid, x, NO_RANK) for x in (rois.gt_index, rank_class)]
        return _pooled(model, levels, rois.boxes, batch, shrink, *known), ()

    return _all_regions(config, split, sample, variables, lambda *_: progress(1))


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
        slot = jnp.arange(found.boxes.valid.shape[1], dtype=jnp.int32)
        slot = jnp.where(found.boxes.valid, slot, NO_RANK)
        regions = _pooled(bound, levels, found.boxes, batch, shrink)
        return regions, dataclasses.replace(found, rank_class=slot)

    scenes = []

    def score(found, seen):
        scenes.append(Scene(truth_of(seen.record), in_photograph(found, seen)))
        progress(1)

    return _all_regions(config, split, find, variables, score), scenes


def _all_regions(config, split, function, variables, each) -> Regions:
    """The regions of a split: `function`(variables, batch) -> (Regions, more), compiled; `each`
    is called with (more, the photograph as of evaluation.loop.Seen)."""
    compiled = make_predict(function, make_mesh(jax.local_devices()[:1]), put=put)
    batches = eval_batches(
        open_split(config, split),
        canvas_hw=tuple(config.data.canvas_hw),
        batch_size=config.eval.batch_size,
        max_objects=config.data.max_objects,
    )
    parts = []
    for seen in filter(None, predicted(lambda batch: compiled(variables, batch), batches)):
        regions, more = seen[0].output
        parts.append(Regions(*(rows[[one.slot for one in seen]] for rows in regions)))
        for one in seen:
            each(more, one)
    return Regions(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _pooled(model, levels, boxes, batch, shrink, *known) -> Regions:
    pooled, _ = model.pool(levels, boxes, batch.valid_hw)
    known = known or [jnp.full(boxes.valid.shape, NO_RANK, jnp.int32)] * 2
    return Regions(small(pooled, shrink), boxes.xyxy, boxes.valid, *known, batch.valid_hw)


def small(pooled, shrink):
    """f16[B, R, S / shrink, S / shrink, C]: means over squares of shrink x shrink cells."""
    batch, slots, side, _, channels = pooled.shape
    cells = (batch, slots, side // shrink, shrink, side // shrink, shrink, channels)
    return pooled.reshape(cells).mean((3, 5)).astype(jnp.float16)
