"""A tiny experiment with all the parts of a real one: a linear model of mean colours."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from pycocotools import mask as coco_mask

from sor_jax.datasets.record import Record
from sor_jax.structures import Boxes, Detections
from sor_jax.train.experiment import Experiment

HW, OBJECTS = (8, 8), 2


def config(**train) -> ConfigDict:
    """All fields that the loop reads; `train` changes those of config.train."""
    return ConfigDict(
        {
            "seed": 0,
            "init_from": "",
            "optim": {
                "name": "sgd",
                "learning_rate": 0.1,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "warmup_steps": 2,
                "warmup_factor": 0.1,
                "milestones": (4,),
                "clip_norm": 0.0,
                "trainable": (),
            },
            "train": {
                "steps": 6,
                "batch_size": 4,
                "accumulate": 1,
                "ema": 0.0,
                "eval_every": 0,
                "log_every": 1,
                "checkpoint_every": 3,
                "on_nonfinite": "raise",
                "max_skipped_steps": 2,
                "profile_steps": (),
                **train,
            },
            "eval": {
                "split": "val",
                "batch_size": 3,
                "max_images": 0,
                "best_metric": "mae",
                "at_start": False,
            },
        }
    ).lock()


def numpy_batch(index: int, batch_size: int = 4) -> dict[str, np.ndarray]:
    """Batch `index` of the toy data, every one another."""
    rng = np.random.default_rng(index)
    return {
        "image": rng.integers(0, 256, (batch_size, *HW, 3), np.uint8),
        "valid_hw": np.full((batch_size, 2), HW[0], np.int32),
        "valid": np.ones(batch_size, bool),
        "gt_boxes": rng.uniform(0, 8, (batch_size, OBJECTS, 4)).astype(np.float32),
        "gt_valid": rng.random((batch_size, OBJECTS)) < 0.7,
        "gt_rank_class": rng.integers(0, 5, (batch_size, OBJECTS)).astype(np.int32),
        "gt_masks": rng.integers(0, 2, (batch_size, OBJECTS, *HW), np.uint8),
        "gt_edges": rng.uniform(0, 8, (batch_size, OBJECTS, 4, 4)).astype(np.float32),
        "gt_edge_part": rng.integers(0, 2, (batch_size, OBJECTS, 4)).astype(np.int32),
        "gt_edge_valid": rng.random((batch_size, OBJECTS, 4)) < 0.7,
        "objects_left_out": rng.integers(0, 3, batch_size).astype(np.int32),
    }


class Batches:
    """Endless toy batches with a position; `before` is called with each index."""

    def __init__(self, before=lambda index: None):
        self.index, self.closed, self._before = 0, False, before

    def __next__(self):
        self._before(self.index)
        self.index += 1
        return numpy_batch(self.index - 1)

    def get_state(self):
        return {"next_index": self.index}

    def set_state(self, state):
        self.index = state["next_index"]

    def close(self):
        self.closed = True


def init(rng, width=3):
    """Weights from colour to `width` outputs, and something frozen."""
    return {
        "params": {
            "head": {
                "kernel": 0.1 * jax.random.normal(rng, (3, width)),
                "bias": jnp.zeros(width),
            },
            "norm1": {"scale": jnp.ones(3)},
        },
        "frozen": {"norm": {"mean": jnp.full((3,), 0.5)}},
    }


def objective(params, frozen, batch, rng):
    """A regression of rank classes with noise from `rng`, over the objects of the whole batch."""
    colour = batch.image.astype(jnp.float32).mean((1, 2)) / 255 - frozen["norm"]["mean"]
    colour = colour * params["norm1"]["scale"]
    guess = (colour @ params["head"]["kernel"] + params["head"]["bias"]).sum(-1, keepdims=True)
    guess = guess + 0.01 * jax.random.normal(rng, guess.shape)
    error = jnp.where(batch.gt.boxes.valid, (guess - batch.gt.rank_class) ** 2, 0)
    loss = error.sum() / jnp.maximum(batch.gt.boxes.valid.sum(), 1)
    return 2 * loss, {"loss/rank": 2 * loss, "rois/left_out": jnp.float32(1)}


def predict(variables, batch):
    """One detection an image, the left half, ranked by what the model makes of the colour."""
    size = batch.image.shape[0]
    box = jnp.broadcast_to(jnp.float32([0, 0, 4, 8]), (size, 1, 4))
    bias = variables["params"]["head"]["bias"].sum()
    return Detections(
        boxes=Boxes(xyxy=box, valid=batch.valid[:, None]),
        score=jnp.full((size, 1), 0.9),
        mask_score=jnp.full((size, 1), 0.9),
        mask_prob=jnp.ones((size, 1, 28, 28)),
        rank_logit=jnp.zeros((size, 1, 5)),
        rank_class=jnp.full((size, 1), jnp.clip(bias.astype(jnp.int32), 0, 4)),
        finite=jnp.ones(size, bool),
    )


def eval_batches(batch_size: int, before=lambda: None, images: int = 5):
    """Photographs whose left half is the most salient object."""
    for start in range(0, images, batch_size):
        before()
        records = [_record(i) for i in range(start, min(start + batch_size, images))]
        batch = numpy_batch(start, batch_size)
        batch["valid"] = np.arange(batch_size) < len(records)
        yield batch, records


def experiment(**parts) -> Experiment:
    """The toy experiment; `parts` replaces some of it."""
    whole = {
        "init": init,
        "objective": objective,
        "predict": predict,
        "train_batches": Batches(),
        "eval_batches": eval_batches,
    }
    return Experiment(**{**whole, **parts})


def _record(index):
    left = np.zeros(HW, np.uint8, order="F")
    left[:, :4] = 1
    return Record(
        image_id=f"toy/{index}",
        image=np.full((*HW, 3), 20 * index, np.uint8),
        boxes=np.float32([[0, 0, 4, 8]]),
        masks=[coco_mask.encode(left)],
        polygons=[[]],
        rank_order=np.float32([1.0]),
        grey=left * 255,
    )
