"""The two functions that are compiled: one training step and one prediction."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from sor_jax.distributed.sharding import replicated, split
from sor_jax.structures import Batch
from sor_jax.train.accumulate import value_and_grad_in_parts
from sor_jax.train.meter import SKIPPED
from sor_jax.train.state import TrainState, next_ema

Objective = Callable[..., tuple[jax.Array, dict[str, jax.Array]]]


def make_train_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    *,
    accumulate: int = 1,
    skip_nonfinite: bool = False,
    ema: float = 0.0,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles (state, batch) -> (next state, scalars), the state donated.

    Args:
      objective: (params, frozen, batch, rng) -> (total f32[], scalars), the batch seen whole:
        its sums and counts are over all devices, so losses need no further averaging.
      optimizer: turns the gradient of the total into updates of params.
      mesh: the batch is split over it.
      accumulate: in how many parts the batch is computed, see value_and_grad_in_parts.
      skip_nonfinite: where the total or a gradient is not finite, leave the parameters and the
        optimizer's memory as they are and say so in the scalar "train/skipped_steps", 0 or 1. The
        step counts all the same: rate and data go on.
      ema: decay of the mean of the parameters that a state keeps; a skipped step leaves it.

    Returns:
      The step. Its scalars are the objective's, with "loss/total" and "grad_norm", the global norm
      of the gradients before any clipping. They stay on the device until someone fetches them.
    """
    value_and_grad = jax.value_and_grad(objective, has_aux=True)
    if accumulate > 1:
        value_and_grad = value_and_grad_in_parts(objective, accumulate, mesh)

    def train_step(state, batch):
        (total, scalars), grads = value_and_grad(state.params, state.frozen, batch, state.step_key)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        scalars = {"loss/total": total, **scalars, "grad_norm": optax.global_norm(grads)}
        params = optax.apply_updates(state.params, updates)
        if skip_nonfinite:
            is_finite = jnp.isfinite(total) & jnp.isfinite(scalars["grad_norm"])
            params, opt_state = _where(
                is_finite, (params, opt_state), (state.params, state.opt_state)
            )
            scalars[SKIPPED] = 1.0 - is_finite
        state = state.replace(
            step=state.step + 1,
            params=params,
            opt_state=opt_state,
            ema=_next_ema(state, params, scalars.get(SKIPPED, 0.0), ema),
        )
        return state, scalars

    everywhere = replicated(mesh)
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(everywhere, split(mesh)),
        out_shardings=(everywhere, everywhere),
    )


@jax.jit
def all_finite(tree: Any) -> jax.Array:
    """bool[]: whether no array of a tree holds an inf or a nan."""
    return jnp.all(jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]))


def _next_ema(state: TrainState, params, skipped, decay: float):
    if not state.ema:
        return state.ema
    mean = next_ema(state.ema, params, state.step, decay)
    return jax.tree.map(lambda new, old: jnp.where(skipped > 0, old, new), mean, state.ema)


def _where(condition, new, old):
    """`new` where the condition holds, but always the new count that the rate follows."""

    def is_count(node):
        return isinstance(node, optax.ScaleByScheduleState)

    def choose(new, old):
        if is_count(new):
            return new
        return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)

    return jax.tree.map(choose, new, old, is_leaf=is_count)
