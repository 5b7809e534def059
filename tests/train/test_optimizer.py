import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sor_jax.train.optimizer import decays, make_optimizer

RATES = [0.1, 0.3, 0.05, 0.2]
TREE = {
    "ranking": {
        "encoder_0": {
            "norm1": {"scale": 0, "bias": 0},
            "attention": {"query": {"kernel": 0, "bias": 0}},
        },
        "embedding": {"table": 0},
    },
    "fcos": {
        "class_norm_0": {"scale": 0, "bias": 0},
        "class_tower_0": {"kernel": 0, "bias": 0},
        "scale": 0,
    },
    "backbone": {
        "stem_1": {"norm": {"scale": 0, "bias": 0}, "conv": {"kernel": 0}},
        "ConvNorm_0": {"kernel": 0, "bias": 0},
        "GroupNorm_3": {"scale": 0, "bias": 0},
        "LayerNorm_0": {"scale": 0, "bias": 0},
    },
}
NO_DECAY = {
    "ranking/encoder_0/norm1/scale",
    "ranking/encoder_0/norm1/bias",
    "fcos/class_norm_0/scale",
    "fcos/class_norm_0/bias",
    "backbone/stem_1/norm/scale",
    "backbone/stem_1/norm/bias",
    "backbone/ConvNorm_0/bias",
    "backbone/GroupNorm_3/scale",
    "backbone/GroupNorm_3/bias",
    "backbone/LayerNorm_0/scale",
    "backbone/LayerNorm_0/bias",
}


def test_only_scales_and_biases_of_norms_do_not_decay():
    flat = jax.tree_util.tree_flatten_with_path(decays(TREE))[0]
    names = {"/".join(entry.key for entry in path): decays for path, decays in flat}
    assert {name for name, decays in names.items() if not decays} == NO_DECAY
    assert len(names) > len(NO_DECAY)


def torch_sgd(params, gradients, *, momentum, decay, decayed):
    """torch.optim.SGD as its documentation writes it down, one parameter at a time."""
    params = {name: value.copy() for name, value in params.items()}
    velocity = {}
    for rate, step in zip(RATES, gradients, strict=True):
        for name, gradient in step.items():
            g = gradient + decay * params[name] if decayed[name] else gradient
            velocity[name] = momentum * velocity[name] + g if name in velocity else g
            params[name] = params[name] - rate * velocity[name]
    return params


def run(optimizer, params, gradients):
    """{name: value} after steps of an optimizer, the names and shapes of random_steps."""
    params, gradients = nested(params), map(nested, gradients)
    params = jax.tree.map(jnp.asarray, params)
    state = optimizer.init(params)
    for step in gradients:
        updates, state = optimizer.update(jax.tree.map(jnp.asarray, step), state, params)
        params = optax.apply_updates(params, updates)
    return {**params["conv"], **params["norm1"]}


def assert_close(got, expected):
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)


def random_steps(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (3, 4), "scale": (4,), "bias": (4,)}

    def draw():
        return {name: rng.normal(size=size).astype(np.float32) for name, size in shapes.items()}

    return draw(), [draw() for _ in RATES]


def nested(flat):
    return {"conv": {"kernel": flat["kernel"]}, "norm1": {k: flat[k] for k in ("scale", "bias")}}


def schedule(step):
    return jnp.asarray(RATES)[step]


def test_sgd_is_torchs():
    params, gradients = random_steps()
    decayed = {"kernel": True, "scale": False, "bias": False}
    expected = torch_sgd(params, gradients, momentum=0.9, decay=0.3, decayed=decayed)
    optimizer = make_optimizer("sgd", schedule, momentum=0.9, weight_decay=0.3)
    assert_close(run(optimizer, params, gradients), expected)


def test_clipping_scales_all_gradients_by_one_factor():
    params, gradients = random_steps(1)
    norm = np.sqrt(sum((g**2).sum() for g in gradients[0].values()))
    clip = float(norm) / 2
    clipped = []
    for step in gradients:
        norm = np.sqrt(sum((g**2).sum() for g in step.values()))
        clipped.append({name: g * min(1, clip / norm) for name, g in step.items()})
    decayed = dict.fromkeys(params, False)
    expected = torch_sgd(params, clipped, momentum=0.9, decay=0, decayed=decayed)
    optimizer = make_optimizer("sgd", schedule, weight_decay=0, clip_norm=clip)
    assert_close(run(optimizer, params, gradients), expected)


def test_adamw_first_step_by_hand():
    params, gradients = random_steps(2)
    optimizer = make_optimizer("adamw", schedule, weight_decay=0.5)
    for name, value in run(optimizer, params, gradients[:1]).items():
        # After one step both moments are unbiased: g / |g|; the decay is apart from it.
        step = np.sign(gradients[0][name]) + (0.5 * params[name] if name == "kernel" else 0)
        np.testing.assert_allclose(value, params[name] - RATES[0] * step, rtol=1e-4, atol=1e-5)


def test_an_unknown_name_is_named():
    with pytest.raises(ValueError, match="optim.name .*'lamb'.*'sgd'.*'adamw'"):
        make_optimizer("lamb", schedule)


def test_adamw_is_the_papers_with_its_usual_second_moment():
    """Loshchilov and Hutter, 2019, Algorithm 2, one number at a time: b2 is .999, epsilon 1e-8."""
    gradients, rate, decay = [0.5, -2.0, 0.1, 3.0], 0.1, 0.01
    optimizer = make_optimizer("adamw", lambda step: rate, momentum=0.9, weight_decay=decay)
    params = {"conv": {"kernel": jnp.asarray([1.0])}}
    state = optimizer.init(params)
    value, first, second = 1.0, 0.0, 0.0
    for i, gradient in enumerate(gradients, 1):
        updates, state = optimizer.update(
            {"conv": {"kernel": jnp.asarray([gradient])}}, state, params
        )
        params = optax.apply_updates(params, updates)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = first / (1 - 0.9**i) / (np.sqrt(second / (1 - 0.999**i)) + 1e-8)
        value -= rate * (step + decay * value)
        np.testing.assert_allclose(params["conv"]["kernel"][0], value, rtol=1e-5)
