"""Where dropout acts in the Transformer encoder, seen on weights that are made by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.models.encoder import Attention, EncoderLayer

RATE, TOKENS = 0.25, 16


def run(layer, params, x):
    valid = jnp.ones(x.shape[:2], bool)
    return layer.apply(
        {"params": params},
        x,
        valid,
        train=True,
        rngs={"dropout": jax.random.key(0)},
        capture_intermediates=True,
        mutable="intermediates",
    )


def dense(kernel):
    kernel = np.asarray(kernel, np.float32)
    return {"kernel": kernel, "bias": np.zeros(kernel.shape[1], np.float32)}


def attention_that_copies(width):
    """Every token looks at all equally, and takes them over as they are."""
    nothing = np.zeros((width, 2 * width))
    return {
        "qkv": dense(np.concatenate([nothing, np.eye(width)], axis=1)),
        "out": dense(np.eye(width)),
    }


def assert_share_of(dropped):
    assert abs(np.mean(dropped) - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / dropped.size)


def test_attention_weights_are_dropped_and_the_rest_grows():
    x = jnp.eye(TOKENS)[None]  # so that row i of the output is the weights of token i
    weights = np.asarray(run(Attention(1, RATE), attention_that_copies(TOKENS), x)[0][0])
    kept = 1 / TOKENS / (1 - RATE)
    assert np.all(np.isclose(weights, 0) | np.isclose(weights, kept))
    assert_share_of(np.isclose(weights, 0))


def feed_forward_layer(width, hidden, *, attention_scale):
    """A layer whose parts are known numbers: fc1 gives ones, fc2 adds them up."""
    params = {
        "attention": attention_that_copies(width),
        "norm1": {"scale": np.zeros(width, np.float32), "bias": np.ones(width, np.float32)},
        "norm2": {"scale": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)},
        "fc1": dense(np.full((width, hidden), 1 / width)),
        "fc2": dense(np.full((hidden, width), 1 / hidden)),
    }
    params["attention"]["out"]["bias"] += attention_scale
    return params


def test_the_feed_forward_part_drops_inside_and_behind():
    width, hidden = 64, 400
    layer = EncoderLayer(1, hidden, "relu", RATE)
    params = feed_forward_layer(width, hidden, attention_scale=0.0)
    x = jax.random.normal(jax.random.key(1), (1, TOKENS, width))
    _, seen = run(layer, params, x)
    seen = seen["intermediates"]
    inside = np.asarray(seen["fc2"]["__call__"][0])  # the share of the hidden units that is kept
    shares = inside[0, :, 0] * (1 - RATE)
    assert shares.std() > 0.005  # each token drops others
    assert abs(shares.mean() - (1 - RATE)) < 0.03
    # norm1 gives ones whatever comes in; behind it a unit is 1, or 1 + what was kept.
    out = np.asarray(seen["norm2"]["__call__"][0])[0]
    low = out < out.mean(axis=1, keepdims=True)
    assert_share_of(low)
    for row, below in zip(out, low, strict=True):
        assert np.ptp(row[below]) < 1e-4 and np.ptp(row[~below]) < 1e-4


def test_what_attention_adds_is_dropped_too():
    width = 64
    layer = EncoderLayer(1, 8, "relu", RATE)
    params = feed_forward_layer(width, 8, attention_scale=5.0)
    params["norm1"] = {"scale": np.ones(width, np.float32), "bias": np.zeros(width, np.float32)}
    _, seen = run(layer, params, jnp.zeros((1, TOKENS, width)))
    out = np.asarray(seen["intermediates"]["norm1"]["__call__"][0])[0]
    assert_share_of(out < 0)
