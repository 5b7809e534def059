"""The compiled training step, and the gradient of one large batch in parts that fit into memory."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sor_jax.detectors.objective import Sums, image_keys
from sor_jax.distributed.sharding import replicated, split
from sor_jax.structures import Batch
from sor_jax.train.meter import SKIPPED
from sor_jax.train.state import TrainState, next_ema

LossFunction = Callable[..., tuple[jax.Array, dict[str, jax.Array]]]


@runtime_checkable
class SummedObjective(Protocol):
    """An objective whose parts of a batch can be added up before they are divided."""

    def __call__(self, params, frozen, batch: Batch, rng):
        """See detectors.objective.Objective."""

    def sums(self, params, frozen, batch: Batch, keys) -> Sums:
        """See detectors.objective.Objective.sums."""

    def total(self, sums: Sums):
        """(total f32[], scalars) of the whole batch's sums."""


def make_train_step(
    objective: LossFunction | SummedObjective,
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
    if accumulate > 1:
        if not isinstance(objective, SummedObjective):
            raise TypeError(f"{objective!r} has no sums: its batch cannot be computed in parts")
        value_and_grad = value_and_grad_in_parts(objective, accumulate, mesh)
    else:
        value_and_grad = jax.value_and_grad(objective, has_aux=True)

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


def value_and_grad_in_parts(objective: SummedObjective, parts: int, mesh: Mesh) -> Callable:
    """As jax.value_and_grad(objective, has_aux=True), a part of the batch at a time.

    A loss is a sum over the batch divided by a count over the batch, and some counts (foreground
    regions, mask IoU targets) are known only behind the forward pass. So the counts of all parts
    come first, by a forward pass of their own; then each part's gradient is divided by them, and
    all add up to that of the whole batch. It costs a third more time than the whole batch.

    Args:
      objective: what adds up.
      parts: how many; the batch divides by `parts` on every device.
      mesh: every part is spread over it.

    Returns:
      (params, frozen, batch, rng) -> ((total, scalars), gradient of the total).
    """

    def value_and_grad(params, frozen, batch, rng):
        keys = image_keys(rng, len(batch.valid))
        batches = jax.tree.map(lambda x: _split(x, parts, mesh), (batch, keys))

        def count(part):
            sums = objective.sums(params, frozen, *part)
            return {name: loss.count for name, loss in sums.losses.items()}

        counts = _sum_over(count, batches)

        def value(params, part):
            sums = objective.sums(params, frozen, *part)
            losses = {
                name: dataclasses.replace(loss, count=counts[name])
                for name, loss in sums.losses.items()
            }
            return objective.total(Sums(losses, sums.counts))

        return _sum_over(
            lambda part: jax.value_and_grad(value, has_aux=True)(params, part), batches
        )

    return value_and_grad


def _split(x, parts: int, mesh: Mesh):
    """[B, ..] over the mesh -> [parts, B / parts, ..], every part over the mesh: no row moves."""
    count = len(x) // parts  # not -1, which has no meaning for arrays without elements
    rows = x.reshape(mesh.size, parts, count // mesh.size, *x.shape[1:]).swapaxes(0, 1)
    rows = rows.reshape(parts, count, *x.shape[1:])
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, P(None, "data")))


def _sum_over(function: Callable, parts):
    """function(parts[0]) + function(parts[1]) + .., one after the other."""
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(part)), None

    return jax.lax.scan(add, zeros, parts)[0]
