"""The gradient of one large batch, computed in parts that fit into memory."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sor_jax.detectors.objective import Objective, Sums, image_keys


def value_and_grad_in_parts(objective: Objective, parts: int, mesh: Mesh) -> Callable:
    """As jax.value_and_grad(objective, has_aux=True), a part of the batch at a time.

    A loss is a sum over the batch divided by a count over the batch, and some counts (foreground
    regions, mask IoU targets) are known only behind the forward pass. So the counts of all parts
    come first, by a forward pass of their own; then each part's gradient is divided by them, and
    all add up to that of the whole batch. It costs a third more time than the whole batch.

    Args:
      objective: has `sums` and `total` beside the call.
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
            return {name: number for name, (_, number) in sums.losses.items()}

        counts = _sum_over(count, batches)

        def value(params, part):
            sums = objective.sums(params, frozen, *part)
            losses = {name: (total, counts[name]) for name, (total, _) in sums.losses.items()}
            return objective.total(Sums(losses, sums.counts))

        return _sum_over(
            lambda part: jax.value_and_grad(value, has_aux=True)(params, part), batches
        )

    return value_and_grad


def _split(x, parts: int, mesh: Mesh):
    """[B, ..] over the mesh -> [parts, B / parts, ..], every part over the mesh: no row moves."""
    rows = x.reshape(mesh.size, parts, -1, *x.shape[1:]).swapaxes(0, 1)
    rows = rows.reshape(parts, -1, *x.shape[1:])
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, P(None, "data")))


def _sum_over(function: Callable, parts):
    """function(parts[0]) + function(parts[1]) + .., one after the other."""
    shapes = jax.eval_shape(function, jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(part)), None

    return jax.lax.scan(add, zeros, parts)[0]
