"""The two functions that are compiled: one training step and one prediction."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from sor_jax.structures import Batch
from sor_jax.train.sharding import put, replicated, split
from sor_jax.train.state import TrainState

Objective = Callable[..., tuple[jax.Array, dict[str, jax.Array]]]


def make_train_step(
    objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]:
    """Compiles (state, batch) -> (next state, scalars), the state donated.

    Args:
      objective: (params, frozen, batch, rng) -> (total f32[], scalars), the batch seen whole:
        its sums and counts are over all devices, so losses need no further averaging.
      optimizer: turns the gradient of the total into updates of params.
      mesh: the batch is split over it.

    Returns:
      The step. Its scalars are the objective's, with "loss/total" and "grad_norm", the global norm
      of the gradients before any clipping. They stay on the device until someone fetches them.
    """

    def train_step(state, batch):
        (total, scalars), grads = jax.value_and_grad(objective, has_aux=True)(
            state.params, state.frozen, batch, state.step_key
        )
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        scalars = {"loss/total": total, **scalars, "grad_norm": optax.global_norm(grads)}
        return state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
        ), scalars

    everywhere = replicated(mesh)
    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(everywhere, split(mesh)),
        out_shardings=(everywhere, everywhere),
    )


def make_predict(
    predict: Callable[[Any, Batch], Any], mesh: Mesh
) -> Callable[[Any, dict[str, np.ndarray]], Any]:
    """Compiles `predict` into (variables, numpy batch) -> its output as numpy.

    The number of images must be a multiple of the mesh's devices.
    """
    compiled = jax.jit(
        predict, in_shardings=(replicated(mesh), split(mesh)), out_shardings=split(mesh)
    )

    def predict_numpy(variables, batch):
        return jax.device_get(compiled(variables, put(batch, mesh)))

    return predict_numpy
