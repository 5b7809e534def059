"""Mask R-CNN in the training and in the inference map: what may change what."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sor_jax import build
from sor_jax.detectors.heads import run_heads
from sor_jax.detectors.objective import image_keys
from sor_jax.structures import Boxes
from sor_jax.train.optimizer import make_optimizer
from tests.detectors.test_objective import junk_in_padding
from tests.detectors.test_predict import assert_same, found
from tests.small import made_up_batch, small_rcnn, small_rcnn_config, without_objects

NAMES = ["rpn_class", "rpn_box", "box_class", "box", "mask", "rank"]


@pytest.fixture(scope="module")
def step():
    """batch, key -> ((total, scalars), gradients)."""
    config, model, variables = small_rcnn()
    objective = build.build_objective(config, model)
    compiled = jax.jit(jax.value_and_grad(objective, has_aux=True))

    def run(batch, key=0, params=variables["params"]):
        return compiled(params, variables["frozen"], batch, jax.random.key(key))

    run.cache_size = compiled._cache_size
    return run


@pytest.fixture(scope="module")
def predict():
    config, model, variables = small_rcnn()
    run = jax.jit(build.build_predict(config, model))
    return lambda batch: jax.tree.map(np.asarray, run(variables, batch))


def test_names_total_and_gradients(step):
    (total, scalars), grads = step(made_up_batch())
    losses = [scalars[f"loss/{name}"] for name in NAMES]
    assert [name for name in scalars if name.startswith("loss/")][-1] == "loss/total"
    assert {name for name in scalars if name.startswith("loss/")} == {
        f"loss/{name}" for name in [*NAMES, "total"]
    }
    np.testing.assert_allclose(total, sum(losses), rtol=1e-6)
    assert all(loss > 0 for loss in losses)
    assert scalars["rois/foreground"] >= 6  # three objects in each of two images
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    assert all(np.isfinite(g).all() for _, g in leaves)
    dead = {jax.tree_util.keystr(path) for path, g in leaves if not np.any(g)}
    # Of the six cells of P5 no anchor may have been drawn.
    assert dead <= {"['pyramid']['output5']['bias']", "['pyramid']['output5']['kernel']"}


def test_the_sample_is_the_keys(step):
    batch = made_up_batch()
    (_, first), _ = step(batch)
    (_, again), _ = step(batch)
    (_, other), _ = step(batch, key=1)
    assert first["loss/rpn_class"] == again["loss/rpn_class"] != other["loss/rpn_class"]


def test_padding_reaches_neither_losses_nor_gradients(step):
    batch = made_up_batch(photo_hw=(57, 70))
    expected, got = step(batch), step(junk_in_padding(batch))
    jax.tree.map(np.testing.assert_array_equal, expected, got)


def test_fillers_do_not_count(step):
    batch = made_up_batch()
    filled = batch.replace(valid=jnp.array([True, False]))
    doubled = jax.tree.map(lambda x: jnp.concatenate([x[:1], x[:1]]), batch)
    other = filled.replace(image=filled.image.at[1].set(doubled.image[1]))
    jax.tree.map(np.testing.assert_array_equal, step(filled), step(other))
    (_, one), _ = step(filled)
    (_, two), _ = step(batch)
    assert 0 < one["rois/foreground"] < two["rois/foreground"]


def test_images_without_objects_train_and_nothing_is_nan(step):
    batch = made_up_batch()
    (_, scalars), grads = step(without_objects(batch))
    for name in ("rpn_class", "box_class"):
        assert scalars[f"loss/{name}"] > 0
    for name in ("rpn_box", "box", "mask", "rank"):
        assert scalars[f"loss/{name}"] == 0
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    assert step.cache_size() == 1  # one compile, whatever the images hold


@pytest.mark.slow
def test_parts_of_a_batch_add_up_to_the_whole():
    config, model, variables = small_rcnn()
    objective = build.build_objective(config, model)
    batch, keys = made_up_batch(images=4), image_keys(jax.random.key(0), 4)

    @jax.jit
    def sums(batch, keys):
        return objective.sums(variables["params"], variables["frozen"], batch, keys)

    halves = [jax.tree.map(lambda x, i=i: x[i : i + 2], (batch, keys)) for i in (0, 2)]
    parts = jax.tree.map(jnp.add, *(sums(*half) for half in halves))
    whole = sums(batch, keys)
    for a, b in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert objective.total(whole)[0] > 0


def test_the_losses_fall(step):
    params, totals = small_rcnn()[2]["params"], []
    optimizer = make_optimizer("adamw", optax.constant_schedule(3e-3))
    update, state = jax.jit(optimizer.update), optimizer.init(params)
    for i in range(25):
        (total, _), grads = step(made_up_batch(), key=i, params=params)
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        totals.append(float(total))
    assert np.mean(totals[-3:]) < 0.7 * np.mean(totals[:3])


@pytest.mark.parametrize("canvas_hw", [(96, 96), (128, 160)])
def test_more_padding_changes_no_rank(predict, canvas_hw):
    small = predict(made_up_batch(photo_hw=(57, 70)))
    large = predict(made_up_batch(photo_hw=(57, 70), canvas_hw=canvas_hw))
    for image in range(2):
        one = found(small, image)
        assert (one.boxes.xyxy >= 0).all()
        assert (one.boxes.xyxy[:, 2:] <= [70, 57]).all()
        np.testing.assert_array_equal(one.mask_score, one.score)
        assert_same(one, found(large, image))


def test_other_images_of_the_batch_and_fillers_change_nothing(predict):
    batch = made_up_batch()
    alone = predict(batch.replace(valid=jnp.array([False, True])))
    assert not alone.boxes.valid[0].any()
    assert_same(found(predict(batch), 1), found(alone, 1))


def test_raw_masks_are_shown_only_when_told_to():
    config = small_rcnn_config()
    config.reference.mask_channel = True
    model = build.build_model(config)
    shapes = jax.eval_shape(lambda: build.init_variables(model, jax.random.key(0)))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.normal(0, 0.1, x.shape).astype(np.float32), shapes)
    levels = [
        jnp.asarray(rng.normal(size=(1, 64 // s, 96 // s, 16)), jnp.float32)
        for s in (4, 8, 16, 32, 64)
    ]
    boxes = Boxes(jnp.array([[[8.0, 8, 40, 40], [20, 10, 90, 50]]]), jnp.ones((1, 2), bool))

    @jax.jit
    def both():
        args = model, variables, levels, boxes, jnp.array([[64, 96]])
        return run_heads(*args, raw_mask=False), run_heads(*args, raw_mask=True)

    plain, raw = both()
    np.testing.assert_array_equal(plain.mask_logit, raw.mask_logit)
    np.testing.assert_array_equal(plain.mask_iou, 1)  # there is no such head
    assert np.abs(plain.rank_logit - raw.rank_logit).max() > 1e-3
