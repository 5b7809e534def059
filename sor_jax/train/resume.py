"""The state that a run begins with."""

import jax

from sor_jax.train.checkpoint import Checkpoints
from sor_jax.train.experiment import Experiment, build_optimizer
from sor_jax.train.sharding import replicated
from sor_jax.train.state import TrainState, count_params, create_state
from sor_jax.train.weights import check_same_model, init_variables_from


def first_state(experiment: Experiment, config, mesh, checkpoints: Checkpoints) -> TrainState:
    """The last checkpoint's state, with the data moved to its place, or a fresh one.

    A fresh one takes what it can from config.init_from. Either is replicated over the mesh.
    """
    optimizer, everywhere = build_optimizer(config), replicated(mesh)

    def create(key):
        init_key, step_key = jax.random.split(key)
        return create_state(experiment.init(init_key), optimizer, step_key)

    key = jax.random.key(config.seed)
    last = checkpoints.last_step
    if last is not None:
        abstract = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere),
            jax.eval_shape(create, key),
        )
        folder = checkpoints.folder(last)
        check_same_model(folder, abstract.variables)
        print(f"going on from step {last}: {folder}", flush=True)
        return checkpoints.restore(abstract, experiment.train_batches)
    state = jax.jit(create, out_shardings=everywhere)(key)
    if config.init_from:
        state = state.replace(**init_variables_from(config.init_from, state.variables))
    print(f"starting with {count_params(state.params):,} parameters", flush=True)
    return state
