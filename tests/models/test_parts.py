"""Sizes of the published models, shapes of every part, and what attention may see."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.reference import centermask
from sor_jax import build
from sor_jax.models.encoder import Encoder
from sor_jax.models.ranking import POSITIONS, RankingHead
from sor_jax.models.vovnet import VOVNETS, VoVNet
from sor_jax.structures import Boxes


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def shapes(config):
    model = build.build_model(config)
    boxes = Boxes(jnp.zeros((1, 2, 4)), jnp.ones((1, 2), bool))
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    return jax.eval_shape(model.init, jax.random.key(0), image, jnp.array([[64, 64]]), boxes)


@pytest.mark.parametrize(("config", "total"), [("vov39", 118_983_178), ("vov57", 135_242_762)])
def test_parameters_of_the_original(config, total):
    variables = shapes(centermask.get_config(config))
    params = variables["params"]
    assert count(params) == total
    assert count(params["fcos"]) == 4_738_571
    assert count(params["mask"]) == 2_622_995
    assert count(params["iou"]) == 16_259_329
    assert count(params["ranking"]) == 66_657_579
    names = {key.key for path, _ in jax.tree_util.tree_leaves_with_path(params) for key in path}
    assert not names & {"mean", "var"}  # frozen norms are no parameters


def test_the_papers_ranking_head_lacks_the_mask_channel_only():
    config = importlib.import_module("configs.centermask_vov39").get_config()
    assert count(shapes(config)["params"]["ranking"]) == 66_657_579 - 9 * 256


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vovnet19_slim", 2_647_984),
        ("vovnet19", 10_170_560),
        ("vovnet39", 25_163_712),
        ("vovnet57", 41_423_296),
    ],
)
def test_bodies(name, expected):
    body = VoVNet(VOVNETS[name])
    x, hw = jnp.zeros((2, 64, 96, 3)), jnp.array([[64, 96], [40, 50]])
    out, variables = jax.eval_shape(body.init_with_output, jax.random.key(0), x, hw)
    assert count(variables["params"]) == expected
    widths = (128, *VOVNETS[name].out)
    for stage, stride, width in zip(out, (4, 4, 8, 16, 32), widths, strict=True):
        assert stage.shape == (2, 64 // stride, 96 // stride, width)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("interaction", [True, False])
def test_every_ranking_variant(position, interaction):
    head = RankingHead(
        position, interaction, channels=8, depth=2, hidden=(16, 12), layers=1, heads=2, ffn=8
    )
    rng = np.random.default_rng(0)
    boxes = Boxes(jnp.array([[[0.0, 0, 20, 20], [30, 5, 64, 40]]]), jnp.ones((1, 2), bool))
    args = rng.normal(size=(1, 2, 14, 14, 10)).astype(np.float32), jnp.zeros((1, 2, 28, 28)), boxes
    hw = jnp.array([[64, 64]])
    logits, variables = head.init_with_output(jax.random.key(0), *args, hw)
    assert logits.shape == (1, 2, 5)
    assert np.isfinite(logits).all()
    assert ("encoder" in variables["params"]) == interaction

    def moved(by):
        xyxy = boxes.xyxy.at[0, 0].add(by)
        changed = head.apply(variables, args[0], args[1], Boxes(xyxy, boxes.valid), hw)
        return not np.allclose(changed, logits)

    # The maps come in by what was pooled, not by the box.
    assert moved(jnp.array([25.0, 0, 25, 0])) == (position not in ("none", "maps"))
    grown = jnp.array([-9.0, -9, 9, 9])
    assert moved(grown) == (position in ("box", "grid_scale"))


def test_learnt_grids_look_up_the_cell_of_centre_and_extent():
    head = RankingHead("grid_scale", False, channels=4, depth=1, hidden=(8, 6), heads=2)
    features = np.random.default_rng(0).normal(size=(1, 1, 14, 14, 6)).astype(np.float32)
    boxes = Boxes(jnp.array([[[10.0, 50, 50, 90]]]), jnp.ones((1, 1), bool))
    args = features, jnp.zeros((1, 1, 28, 28)), boxes, jnp.array([[100, 100]])
    variables = head.init(jax.random.key(0), *args)
    zero = head.apply(variables, *args)
    params = variables["params"]
    for name, cell in (("center_embedding", 2 * 8 + 5), ("scale_embedding", 1 * 4 + 1)):
        others = np.asarray(params[name]).copy()
        others[np.arange(len(others)) != cell] += 3.0
        same = head.apply({"params": params | {name: others}}, *args)
        np.testing.assert_allclose(same, zero, atol=1e-6)


def encoder(activation="gelu"):
    layer = Encoder(2, 4, 16, activation)
    tokens = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
    valid = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    return layer, layer.init(jax.random.key(0), tokens, valid), tokens, valid


def test_padded_tokens_are_seen_by_none():
    layer, variables, tokens, valid = encoder()
    expected = layer.apply(variables, tokens[:, :3], valid[:, :3])[0]
    for junk in (1e4, -7.0):
        tokens[0, 3:] = junk
        got = layer.apply(variables, tokens, valid)[0, :3]
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_tokens_of_another_image_are_not_seen_and_order_does_not_matter():
    layer, variables, tokens, valid = encoder()
    expected = layer.apply(variables, tokens, valid)
    alone = layer.apply(variables, tokens[1:], valid[1:])
    np.testing.assert_allclose(alone, expected[1:], atol=1e-5)
    order = np.array([4, 2, 0, 3, 1])
    shuffled = layer.apply(variables, tokens[:, order], valid[:, order])
    np.testing.assert_allclose(shuffled[1], expected[1, order], atol=1e-5)


def test_a_set_without_tokens_is_finite_with_its_gradient():
    layer, variables, tokens, _ = encoder()

    def total(params):
        none = layer.apply({"params": params}, tokens, np.zeros((2, 5), bool))
        return jnp.sum(jnp.where(False, none, 0.0)) + jnp.sum(none)

    value, grads = jax.value_and_grad(total)(variables["params"])
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_dropout_acts_in_training_only():
    layer, variables, tokens, valid = encoder()
    at_rest = layer.apply(variables, tokens, valid)
    keys = [{"dropout": jax.random.key(i)} for i in (1, 2)]
    first, second = (layer.apply(variables, tokens, valid, train=True, rngs=k) for k in keys)
    assert not np.allclose(first, second)
    assert not np.allclose(first, at_rest)


def test_unknown_words_are_named():
    with pytest.raises(ValueError, match="position is 'map'"):
        RankingHead("map").init(jax.random.key(0), *[jnp.zeros((1, 1, 14, 14, 4))] * 4)
    with pytest.raises(ValueError, match="activation is 'swish'"):
        encoder("swish")
