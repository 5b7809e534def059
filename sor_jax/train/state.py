"""What a training step carries on: the state that is donated, saved and restored."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from sor_jax.checkpoints.checkpoint import Checkpoints, DataPosition
from sor_jax.checkpoints.weights import check_same_model, init_variables_from
from sor_jax.distributed.hosts import say
from sor_jax.distributed.sharding import replicated


@flax.struct.dataclass
class TrainState:
    """Everything that the next step depends on, the data aside."""

    step: jax.Array  # i32[] steps done
    params: Any  # f32 tree, optimised
    frozen: Any  # f32 tree of the frozen norm layers: no gradient, never changed
    opt_state: Any
    ema: Any  # f32 tree, the mean of params over the last steps; {} where none is kept
    key_data: jax.Array  # u32[2] of a typed key, which a donated argument would not dispatch fast

    @property
    def step_key(self) -> jax.Array:
        """The key of the next step."""
        return jax.random.fold_in(jax.random.wrap_key_data(self.key_data), self.step)

    @property
    def variables(self) -> dict[str, Any]:
        """What is evaluated, as the model's functions take it: ema where one is kept."""
        return {"params": self.ema or self.params, "frozen": self.frozen}


def create_state(
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    rng: jax.Array,
    *,
    ema: bool = False,
) -> TrainState:
    """The state before the first step.

    Args:
      variables: "params" and, where the model has them, "frozen".
      optimizer: makes opt_state.
      rng: jax.random.key; the key of step i is fold_in(rng, i).
      ema: keep a mean of the parameters, which starts at them.
    """
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        frozen=variables.get("frozen", {}),
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params) if ema else {},
        key_data=jax.random.key_data(rng),
    )


def initial_state(
    init: Callable[[jax.Array], dict[str, Any]],
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    checkpoints: Checkpoints,
    position: DataPosition,
    *,
    seed: int,
    ema: bool,
    init_from: str,
) -> TrainState:
    """The last checkpoint's state, with `position` moved to its place, or a fresh one.

    A fresh one takes what it can from the checkpoint `init_from`, "" for none. Either is
    replicated over the mesh.
    """

    def create(key):
        init_key, step_key = jax.random.split(key)
        return create_state(init(init_key), optimizer, step_key, ema=ema)

    key, everywhere = jax.random.key(seed), replicated(mesh)
    last = checkpoints.last_step
    if last is not None:
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            jax.eval_shape(create, key),
        )
        folder = checkpoints.folder(last)
        check_same_model(folder, abstract.variables)
        say(f"going on from step {last}: {folder}")
        return checkpoints.restore(abstract, position)
    state = jax.jit(create, out_shardings=everywhere)(key)
    if init_from:
        variables = {"params": state.params, "frozen": state.frozen}
        state = state.replace(**init_variables_from(init_from, variables))
        if state.ema:
            state = state.replace(ema=jax.tree.map(jnp.copy, state.params))
    say(f"starting with {count_params(state.params):,} parameters")
    return state


def count_params(params) -> int:
    """How many numbers are optimised."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def next_ema(ema: Any, params: Any, step: jax.Array, decay: float) -> Any:
    """d * ema + (1 - d) * params, d = min(decay, (1 + step) / (10 + step)).

    So that the first steps, which are far from where training ends, are soon forgotten.
    """
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda mean, new: d * mean + (1 - d) * new, ema, params)
