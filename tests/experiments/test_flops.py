"""The count of operations, by hand and by XLA's analysis where that can tell."""

import jax
import jax.numpy as jnp
import pytest

from experiments.flops import count_flops

X = jnp.ones((2, 9, 11, 3))
KERNEL = jnp.ones((3, 3, 3, 5))


def conv(x, kernel, stride=1, padding="VALID", groups=1):
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=numbers, feature_group_count=groups
    )


def traced(function, *args):
    return jax.jit(function).trace(*args)


def test_products_by_hand():
    a, b = jnp.ones((4, 5, 6)), jnp.ones((4, 6, 7))
    assert count_flops(traced(jnp.matmul, a, b).jaxpr) == 2 * 4 * 5 * 6 * 7
    assert count_flops(traced(conv, X, KERNEL).jaxpr) == 2 * (2 * 7 * 9 * 5) * (3 * 3 * 3)
    depthwise = traced(lambda x: conv(x, KERNEL[:, :, :1, :3], groups=3), X)
    assert count_flops(depthwise.jaxpr) == 2 * (2 * 7 * 9 * 3) * (3 * 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["VALID", "SAME", ((1, 2), (0, 3))])
def test_a_convolution_and_its_gradients_are_what_xla_counts(stride, padding):
    def gradients(x, kernel):
        def loss(x, kernel):
            return (conv(x, kernel, stride, padding) ** 2).sum()

        return jax.grad(loss, argnums=(0, 1))(x, kernel)

    for function in (lambda x, k: conv(x, k, stride, padding), gradients):
        found = traced(function, X, KERNEL)
        told = found.lower().cost_analysis()["flops"]
        # XLA's has what goes on number by number, too.
        assert count_flops(found.jaxpr) == pytest.approx(told, rel=0.02)
        assert count_flops(found.jaxpr) <= told


def test_loops_count_as_often_as_they_run_and_gradients_twice_more():
    def looped(x, w):
        return jax.lax.scan(lambda x, _: (jnp.tanh(x @ w), None), x, length=10)[0].sum()

    x, w = jnp.ones((4, 8)), jnp.ones((8, 8))
    once = 2 * 4 * 8 * 8
    assert count_flops(traced(looped, x, w).jaxpr) == 10 * once
    assert count_flops(traced(jax.grad(looped, argnums=(0, 1)), x, w).jaxpr) == 30 * once
    again = jax.value_and_grad(jax.checkpoint(looped), argnums=(0, 1))
    assert count_flops(traced(again, x, w).jaxpr) == 40 * once


def test_a_loop_without_a_known_end_runs_as_often_as_told():
    def looped(count, x):
        return jax.lax.fori_loop(0, count, lambda _, x: x @ x, x)

    found = traced(looped, jnp.array(3), jnp.ones((8, 8))).jaxpr
    assert count_flops(found) == 2 * 8**3
    assert count_flops(found, loops=3) == 3 * 2 * 8**3


def test_of_a_condition_the_costliest_branch_in_so_many_cases():
    def chosen(x):
        return jax.lax.cond(x.sum() > 0, lambda x: x @ x @ x, lambda x: x @ x, x)

    found = traced(chosen, jnp.ones((8, 8))).jaxpr
    assert count_flops(found) == 2 * 2 * 8**3
    assert count_flops(found, conditional=0.25) == 0.25 * 2 * 2 * 8**3


def test_a_choice_of_platform_is_no_condition():
    def chosen(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: x @ x, default=lambda x: (x.T @ x).T)

    found = traced(chosen, jnp.ones((8, 8))).jaxpr
    assert count_flops(found, conditional=0.25) == 2 * 8**3


def test_what_nobody_needs_does_not_count():
    def half(x):
        return (x @ x, x @ x @ x)[0]

    assert count_flops(traced(half, jnp.ones((8, 8))).jaxpr) == 2 * 8**3
    assert count_flops(traced(lambda x: jax.vjp(half, x)[1](x)[0], jnp.ones((8, 8))).jaxpr) == (
        2 * 2 * 8**3
    )
