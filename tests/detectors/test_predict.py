"""The inference map: ranks, padding, batches and images without anything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax import build
from sor_jax.structures import NO_RANK
from tests.small import made_up_batch, small_network, without_objects


@pytest.fixture(scope="module")
def predict():
    config, model, variables = small_network()
    run = jax.jit(build.build_predict(config, model))

    def call(batch):
        return jax.tree.map(np.asarray, run(variables, batch))

    call.cache_size = run._cache_size
    return call


def found(detections, image):
    """The valid slots of one image."""
    valid = detections.boxes.valid[image]
    return jax.tree.map(lambda x: x[image][valid] if x.ndim > 1 else x[image], detections)


def assert_same(a, b, atol=1e-4):
    assert len(a.score) == len(b.score) > 0
    np.testing.assert_allclose(a.boxes.xyxy, b.boxes.xyxy, atol=1e-2)
    np.testing.assert_allclose(a.score, b.score, atol=atol)
    np.testing.assert_allclose(a.mask_prob, b.mask_prob, atol=5 * atol)
    np.testing.assert_allclose(a.rank_logit, b.rank_logit, atol=10 * atol)
    np.testing.assert_array_equal(a.rank_class, b.rank_class)


def test_detections_are_sorted_ranked_once_and_inside_the_photograph(predict):
    detections = predict(made_up_batch(photo_hw=(57, 70)))
    for image in range(2):
        one = found(detections, image)
        assert len(one.score) >= 2
        assert (np.diff(one.score) <= 0).all()
        ranked = one.rank_class[one.rank_class != NO_RANK]
        expected = range(4, 4 - min(5, len(one.score)), -1)
        assert sorted(ranked, reverse=True) == list(expected)
        assert (one.boxes.xyxy >= 0).all()
        assert (one.boxes.xyxy[:, 2] <= 70).all()
        assert (one.boxes.xyxy[:, 3] <= 57).all()
        assert (one.mask_score <= one.score * 10).all()
        assert one.finite
    assert (detections.rank_class[~detections.boxes.valid] == NO_RANK).all()


@pytest.mark.parametrize("canvas_hw", [(64, 128), (96, 96), (128, 160)])
def test_more_padding_changes_no_rank(predict, canvas_hw):
    small = predict(made_up_batch(photo_hw=(57, 70), canvas_hw=(64, 96)))
    large = predict(made_up_batch(photo_hw=(57, 70), canvas_hw=canvas_hw))
    for image in range(2):
        assert_same(found(small, image), found(large, image))


def test_other_images_of_the_batch_change_nothing(predict):
    batch = made_up_batch(images=3)
    alone = predict(jax.tree.map(lambda x: x[1:2], batch))
    assert_same(found(predict(batch), 1), found(alone, 0))


def test_fillers_have_no_detections_and_disturb_none(predict):
    batch = made_up_batch(images=3)
    whole = predict(batch)
    filled = predict(batch.replace(valid=jnp.array([True, True, False])))
    assert not filled.boxes.valid[2].any()
    assert_same(found(whole, 0), found(filled, 0))


def test_no_detections_are_simply_none():
    config, model, variables = small_network()
    variables = jax.tree.map(jnp.zeros_like, variables)  # class probability 0.5 ** ..
    params = variables["params"]
    params["fcos"]["class_logit"]["bias"] -= 10.0
    detections = jax.jit(build.build_predict(config, model))({"params": params}, made_up_batch())
    assert not detections.boxes.valid.any()
    assert (detections.rank_class == NO_RANK).all()
    assert np.isfinite(detections.rank_logit).all()


@pytest.mark.parametrize("array", ["class_logit", "box", "centerness"])
def test_broken_weights_are_told_from_an_image_without_objects(array):
    """A threshold drops nan, so a network full of it finds nothing."""
    config, model, variables = small_network()
    params = jax.tree.map(lambda x: x, variables["params"])
    params["fcos"][array]["bias"] = jnp.full_like(params["fcos"][array]["bias"], np.nan)
    batch = made_up_batch(images=3).replace(valid=jnp.array([True, True, False]))
    detections = jax.jit(build.build_predict(config, model))({"params": params}, batch)
    np.testing.assert_array_equal(detections.finite, [False, False, True])


def test_one_compile_whatever_the_images_hold(predict):
    before = predict.cache_size()
    batch = made_up_batch(seed=5, images=4)
    predict(batch)
    predict(without_objects(batch))
    predict(batch.replace(image=jnp.zeros_like(batch.image)))
    assert predict.cache_size() == before + 1


def test_an_unknown_rank_rule_is_named():
    config, model, _ = small_network()
    config = config.copy_and_resolve_references()
    config.model.rank_rule = "greedy"
    with pytest.raises(ValueError, match="rank_rule is 'greedy'"):
        build.build_predict(config, model)
