"""Small models of every kind, drawn photographs, and what prediction itself says of them."""

import jax
import numpy as np

from sor_jax import build
from sor_jax.structures import Images
from tests.small import made_up_batch, small_network, small_rcnn

CANVAS = (64, 96)
DETECTORS = {"centermask": small_network, "mask_rcnn": small_rcnn}


def small(detector="centermask", *, rank_rule="sequential", **ranking):
    """(config, variables)."""
    config, _, variables = DETECTORS[detector](**ranking)
    config = config.copy_and_resolve_references()
    config.data.canvas_hw, config.model.rank_rule = CANVAS, rank_rule
    return config, variables


def photographs(count=3, *, seed=0, canvas_hw=CANVAS):
    """Images u8[B, H, W, 3] of different sizes, and these sizes."""
    h, w = canvas_hw
    images, sizes = np.zeros((count, h, w, 3), np.uint8), np.zeros((count, 2), np.int32)
    for i in range(count):
        sizes[i] = hw = (h, w) if i == 0 else (h - 13 * i, w - 7 * i)
        drawn = made_up_batch(seed + i, photo_hw=tuple(hw), canvas_hw=canvas_hw, images=1)
        images[i] = drawn.image[0]
    return images, sizes


def predictor(config, variables):
    """call(images, sizes) -> an exported file's outputs, of prediction as it is run; compiled once.

    The probabilities come from the logits, in float64.
    """
    predict = jax.jit(build.build_predict(config, build.build_model(config)))

    def call(images, sizes):
        valid = np.ones(len(images), bool)
        found = jax.device_get(predict(variables, Images(images, sizes, valid)))
        logit = np.asarray(found.rank_logit, np.float64)
        odds = np.exp(logit - logit.max(-1, keepdims=True))
        ranks = np.where(found.rank_class < 0, 0, logit.shape[-1] - found.rank_class)
        return {
            "boxes": found.boxes.xyxy,
            "scores": found.score,
            "mask_scores": found.mask_score,
            "masks": found.mask_prob,
            "rank_probabilities": (odds / odds.sum(-1, keepdims=True))[..., ::-1],
            "ranks": ranks,
            "valid": found.boxes.valid,
            "finite": found.finite,
        }

    return call


def assert_same(found, expected):
    """The same valid detections, boxes to 1e-2 pixels, probabilities to 1e-3, equal ranks."""
    assert set(found) == set(expected)
    np.testing.assert_array_equal(found["finite"], expected["finite"])
    np.testing.assert_array_equal(found["valid"], expected["valid"])
    where = np.asarray(expected["valid"])
    for name, wanted in expected.items():
        if name in ("finite", "valid"):
            continue
        atol = {"boxes": 1e-2, "ranks": 0}.get(name, 1e-3)
        got = np.asarray(found[name])
        assert got.shape == wanted.shape, name
        np.testing.assert_allclose(got[where], wanted[where], rtol=0, atol=atol, err_msg=name)
