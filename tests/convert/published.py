"""Small networks that their own libraries wrote, with the maps that they make of one picture."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.convert.fit import FRESH, MISMATCH, MISSING, Fit, fit
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import read_checkpoint
from tests.convert.test_readers import SAMPLES

HW = jnp.array([[64, 64]])


class Published(NamedTuple):
    """A network in our layout: `body.apply(variables, image, HW)` makes `stages`."""

    result: Fit
    variables: Any
    image: np.ndarray
    stages: dict[int, np.ndarray]  # by index of the body's map


def published(file, body):
    """The network in a file of SAMPLES as that of our body, of which nothing is missing."""
    family, checkpoint, _ = recognise(read_checkpoint(SAMPLES / file))
    shapes = jax.eval_shape(body.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)), HW)
    expected = {part: {"backbone": shapes[part]} for part in ("params", "frozen")}
    result = fit(checkpoint.arrays, family, expected)
    assert not result.of(MISSING, MISMATCH, FRESH)
    variables = {part: tree["backbone"] for part, tree in result.variables().items()}
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 64), np.uint8)
    given = family.normalisation(checkpoint)
    assert given.pixel_order == "rgb"
    pixels = image.transpose(0, 2, 3, 1).astype(np.float32)
    image = ((pixels - np.array(given.pixel_mean)) / np.array(given.pixel_std)).astype(np.float32)
    with np.load((SAMPLES / file).with_suffix(".npz")) as stored:
        stages = {int(name[-1]) - 1: stored[name].transpose(0, 2, 3, 1) for name in stored}
    return Published(result, variables, image, stages)


def assert_same_maps(maps, stages, count):
    """Of all `count` stages that their library stored."""
    assert len(stages) == count
    for index, theirs in stages.items():
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(maps[index], theirs, atol=1e-5 * np.abs(theirs).max())
