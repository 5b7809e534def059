"""Golden archives by part, whatever models and seeds a folder holds, and what is read from them."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax.ops import grid
from sor_jax.structures import Boxes, DenseOutputs

IMAGE_HW = (480, 640)
LEVELS = range(3, 8)
POINTS = grid.points(IMAGE_HW, [2**k for k in LEVELS])


def of_part(folder, part, *, having=None):
    """{model and seed: arrays} of the archives `{model}_seed{s}_{part}.npz`.

    `having` names an array that must be there in full: of large ones only a sample is kept.
    """
    paths = sorted(folder.glob(f"*_{part}.npz"))
    found = {path.stem.removesuffix(f"_{part}"): np.load(path) for path in paths}
    found = {name: z for name, z in found.items() if having is None or having in z.files}
    if not found:
        pytest.skip(f"{folder} holds no *_{part}.npz" + (f" with {having}" if having else ""))
    return found


def pairs(folder, part, other):
    """[(model and seed, arrays of part, arrays of the other)] where the folder holds both."""
    first, second = of_part(folder, part), of_part(folder, other)
    both = [(name, first[name], second[name]) for name in first if name in second]
    if not both:
        pytest.skip(f"{folder} holds no *_{part}.npz and *_{other}.npz of one model")
    return both


def ground_truth(folder):
    """The boxes of the objects that every training part was made with."""
    objects = json.loads((folder / "gt_objects.json").read_text())
    xyxy = jnp.array([item["bbox"] for item in objects], jnp.float32)
    return Boxes(xyxy, jnp.ones(len(xyxy), bool))


def dense_outputs(raw):
    """The raw FCOS outputs of all levels, [P]."""

    def of_all_levels(name):
        maps = [raw[f"fcos.{name}.p{k}"][0] for k in LEVELS]  # C H W
        return jnp.concatenate([m.reshape(len(m), -1).T for m in maps])

    return DenseOutputs(
        class_logit=of_all_levels("logits")[:, 0],
        ltrb=of_all_levels("reg"),
        centerness_logit=of_all_levels("ctrness")[:, 0],
    )
