"""The training map: what may and what may not change its losses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.core import FrozenDict

from sor_jax import build
from sor_jax.structures import NO_RANK, Batch, Boxes
from tests.small import made_up_batch, small_network, without_objects

NAMES = ["fcos_class", "fcos_box", "fcos_centerness", "mask", "mask_iou", "rank"]


def compiled(**changes):
    config, model, variables = small_network(dropout=0.0)
    objective = dataclasses.replace(build.build_objective(config, model), **changes)
    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    return objective, lambda batch: step(variables["params"], {}, batch, jax.random.key(0)), step


def junk_in_padding(batch):
    """The same batch with other values in the padding of pixels, objects, masks and edges."""
    rows, columns = np.ogrid[: batch.image.shape[1], : batch.image.shape[2]]
    h, w = np.moveaxis(np.asarray(batch.valid_hw), -1, 0)[:, :, None, None]
    outside = (rows >= h) | (columns >= w)
    slot = ~np.asarray(batch.gt.boxes.valid)
    polygons = batch.gt.polygons
    no_edge = ~polygons.valid
    return batch.replace(
        image=jnp.where(outside[..., None], 201, batch.image),
        gt=batch.gt.replace(
            boxes=Boxes(
                jnp.where(slot[..., None], jnp.array([5.0, 5, 60, 60]), batch.gt.boxes.xyxy),
                batch.gt.boxes.valid,
            ),
            rank_class=jnp.where(slot, 3, batch.gt.rank_class),
            masks=jnp.where(slot[..., None, None], 1, batch.gt.masks),
            polygons=polygons.replace(
                edges=jnp.where(no_edge[..., None], jnp.array([9.0, 70, 40, -8]), polygons.edges),
                part=jnp.where(no_edge, 2, polygons.part),
            ),
        ),
    )


def test_names_total_and_weights():
    _, run, _ = compiled()
    (total, scalars), grads = run(made_up_batch())
    losses = [scalars[f"loss/{name}"] for name in NAMES]
    np.testing.assert_allclose(total, sum(losses), rtol=1e-6)
    np.testing.assert_allclose(scalars["loss/total"], total)
    assert all(loss > 0 for loss in losses)
    assert scalars["rois/foreground"] >= 6  # three objects in each of two images
    # P7 has one cell here, which group norm turns into a constant: alone it has no gradient.
    leaves = jax.tree_util.tree_leaves_with_path(grads)
    dead = {jax.tree_util.keystr(path) for path, g in leaves if not np.any(g)}
    assert dead <= {"['pyramid']['p7']['bias']", "['pyramid']['p7']['kernel']"}

    _, run, _ = compiled(weights=FrozenDict(rank=3.0))
    (heavier, _), _ = run(made_up_batch())
    np.testing.assert_allclose(heavier - total, 2 * scalars["loss/rank"], rtol=1e-4)


def test_padding_reaches_neither_losses_nor_gradients():
    _, run, _ = compiled()
    batch = made_up_batch(photo_hw=(57, 70))
    expected, wanted = run(batch), run(junk_in_padding(batch))
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_array_equal(a, b)


def test_more_padding_changes_nothing():
    _, run, _ = compiled()
    (expected, _), grads = run(made_up_batch(photo_hw=(57, 70)))
    (got, _), padded_grads = run(made_up_batch(photo_hw=(57, 70), canvas_hw=(96, 160)))
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(padded_grads), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 + 2e-3 * np.abs(a).max())


def test_fillers_do_not_count():
    _, run, _ = compiled()
    batch = made_up_batch(images=3)
    first_two = jax.tree.map(lambda x: x[:2], batch)
    filled = batch.replace(valid=jnp.array([True, True, False]))
    (expected, _), _ = run(first_two)
    (got, _), _ = run(filled)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_images_without_objects_train_and_nothing_is_nan():
    _, run, step = compiled()
    batch = made_up_batch()
    (_, scalars), grads = run(without_objects(batch))
    assert scalars["loss/fcos_class"] > 0
    for name in NAMES[1:]:
        assert scalars[f"loss/{name}"] == 0
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
    run(batch)
    assert step._cache_size() == 1  # one compile, whatever the images hold


def test_rank_and_mask_iou_losses_reach_the_mask_head_only_when_told_to():
    config, model, variables = small_network(dropout=0.0, mask_channel=True)

    def gradient(mask_gradient, name):
        objective = dataclasses.replace(
            build.build_objective(config, model), mask_gradient=mask_gradient
        )

        def loss(params):
            return objective(params, {}, made_up_batch(), jax.random.key(0))[1][f"loss/{name}"]

        return jax.jit(jax.grad(loss))(variables["params"])["mask"]["conv1"]["kernel"]

    for name in ("mask_iou", "rank"):
        assert not np.any(gradient(False, name))
        assert np.any(gradient(True, name))


def test_slots_keep_ground_truth_and_count_the_rest():
    _, run, _ = compiled(roi_slots=3)
    (_, scalars), _ = run(made_up_batch())
    assert scalars["rois/foreground"] == 6
    _, run, _ = compiled(roi_slots=20)
    (_, all_of_them), _ = run(made_up_batch())
    assert scalars["rois/left_out"] == all_of_them["rois/foreground"] - 6


def test_bfloat16_keeps_parameters_and_losses_in_float32():
    config, _, variables = small_network(dropout=0.0)
    config = config.copy_and_resolve_references()
    config.train.dtype = "bfloat16"
    model = build.build_model(config)
    batch = made_up_batch()
    (total, scalars), grads = jax.jit(
        jax.value_and_grad(build.build_objective(config, model), has_aux=True)
    )(variables["params"], {}, batch, jax.random.key(0))
    assert all(x.dtype == jnp.float32 for x in jax.tree.leaves((total, scalars, grads)))
    _, run, _ = compiled()
    (expected, _), _ = run(batch)
    np.testing.assert_allclose(total, expected, rtol=0.05)


def test_sizes_that_the_network_cannot_take_are_named():
    _, run, _ = compiled()
    batch: Batch = made_up_batch(canvas_hw=(64, 100))
    try:
        run(batch)
    except ValueError as error:
        assert "64x100" in str(error)
        assert "multiples of 32" in str(error)
    else:
        raise AssertionError("a width of 100 was taken")


def test_weight_0_of_the_rank_loss_leaves_loss_and_head_out():
    """Whatever the head would say; all other losses and gradients are as with it."""
    _, run, _ = compiled()
    (total, scalars), grads = run(made_up_batch())
    objective, _, _ = compiled(weights=FrozenDict(rank=0.0))
    _, _, variables = small_network(dropout=0.0)
    broken = {
        name: jax.tree.map(lambda x: x * jnp.nan, part) if name == "ranking" else part
        for name, part in variables["params"].items()
    }
    step = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (got, got_scalars), got_grads = step(broken, {}, made_up_batch(), jax.random.key(0))
    assert "loss/rank" not in got_scalars
    np.testing.assert_allclose(got, total - scalars["loss/rank"], rtol=1e-5)
    assert not any(np.any(g) for g in jax.tree.leaves(got_grads["ranking"]))
    for a, b in zip(
        jax.tree.leaves(grads["mask"]), jax.tree.leaves(got_grads["mask"]), strict=True
    ):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6)


def test_a_rank_that_is_not_known_reaches_the_rank_loss_alone():
    _, run, _ = compiled()
    batch = made_up_batch()
    unknown = jnp.arange(batch.gt.rank_class.shape[1])[None] >= jnp.array([[1], [0]])
    some = jnp.where(unknown, NO_RANK, batch.gt.rank_class)  # one rank is left in the batch
    (_, expected), _ = run(batch)
    (_, got), _ = run(batch.replace(gt=batch.gt.replace(rank_class=some)))
    (_, other), _ = run(batch.replace(gt=batch.gt.replace(rank_class=jnp.maximum(some, 0))))
    for name in set(NAMES) - {"rank"}:
        np.testing.assert_array_equal(got[f"loss/{name}"], expected[f"loss/{name}"])
    assert len({float(each["loss/rank"]) for each in (got, expected, other)}) == 3
    nothing = jnp.full_like(some, NO_RANK)
    (total, got), _ = run(batch.replace(gt=batch.gt.replace(rank_class=nothing)))
    assert got["loss/rank"] == 0
    assert np.isfinite(total)


def test_weights_of_losses_and_0_leaves_one_out():
    config, model, variables = small_network(dropout=0.0)

    def losses(**weights):
        objective = build.build_objective(config, model)
        objective = dataclasses.replace(objective, weights=FrozenDict(weights))
        key = jax.random.key(0)
        return jax.jit(objective)(variables["params"], {}, made_up_batch(), key)

    total, expected = losses()
    got_total, got = losses(mask_iou=0.0, fcos_box=0.0, mask=2.0)
    assert set(expected) - set(got) == {"loss/mask_iou", "loss/fcos_box"}
    change = expected["loss/mask"] - expected["loss/mask_iou"] - expected["loss/fcos_box"]
    np.testing.assert_allclose(got_total, total + change, rtol=1e-4)


@pytest.mark.parametrize("kind", ["pairwise", "listmle"])
def test_rank_losses_of_the_order_train_the_ranking_head(kind):
    _, run, _ = compiled(rank_loss=kind)
    (total, got), grads = run(made_up_batch())
    assert np.isfinite(total)
    assert got["loss/rank"] > 0
    assert any(np.any(g) for g in jax.tree.leaves(grads["ranking"]))


def test_an_object_without_a_mask_counts_for_all_but_the_mask_losses():
    """Whatever stands where its mask would be; the others count as they did."""
    _, run, _ = compiled()
    batch = made_up_batch()
    has_mask = jnp.asarray(np.array([[True, False, True, False]] * 2))
    without = batch.replace(gt=batch.gt.replace(has_mask=has_mask))
    full = ~has_mask[..., None, None]
    junk = batch.gt.replace(
        has_mask=has_mask,
        masks=jnp.where(full, 1 - batch.gt.masks, batch.gt.masks),
        polygons=batch.gt.polygons.replace(valid=batch.gt.polygons.valid & has_mask[..., None]),
    )
    one, two = run(without), run(batch.replace(gt=junk))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)
    (_, got), (_, whole) = one[0], run(batch)[0]
    for name in NAMES:
        same = got[f"loss/{name}"] == whole[f"loss/{name}"]
        assert same == (name not in ("mask", "mask_iou")), name
    everything = batch.replace(gt=batch.gt.replace(has_mask=batch.gt.boxes.valid))
    np.testing.assert_array_equal(run(everything)[0][0], run(batch)[0][0])


def test_without_any_mask_the_mask_losses_are_zero_and_move_nothing():
    _, run, _ = compiled(weights=FrozenDict(dict.fromkeys(NAMES, 0.0) | {"mask": 1.0}))
    batch = made_up_batch()
    batch = batch.replace(gt=batch.gt.replace(has_mask=jnp.zeros_like(batch.gt.boxes.valid)))
    (total, _), grads = run(batch)
    assert total == 0
    assert not any(np.any(grad) for grad in jax.tree.leaves(grads))
