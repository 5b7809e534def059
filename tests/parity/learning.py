"""Losses and gradients of our model on the proposals that the golden numbers were made from."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.build import build_objective
from sor_jax.structures import Boxes, Proposals
from tests.parity import golden, network


@functools.cache
def _with_given(objective_type):
    """The objective on proposals that are not the detector's, where the first ones are drawn."""

    @dataclasses.dataclass(frozen=True)
    class Given(objective_type):
        given: Proposals | None = None

        def propose(self, *args):
            return self.given

        def draw(self, keys, purpose, count):
            return jnp.broadcast_to(jnp.arange(count, dtype=jnp.float32), (len(keys), count))

    return Given


@functools.partial(jax.jit, static_argnums=0)
def _gradients(objective, variables, batch, proposals):
    objective = dataclasses.replace(objective, given=proposals)

    def total(params):
        return objective(params, variables["frozen"], batch, jax.random.key(0))

    (_, scalars), gradients = jax.value_and_grad(total, has_aux=True)(variables["params"])
    return scalars, gradients


_compiled = {}  # of the last model alone; jit would keep one for each kind of arguments


def forget():
    """Drops the compiled program that is kept."""
    _compiled.clear()


def objective(model):
    """The objective without dropout, to be given its proposals.

    Activations are computed twice instead of kept: the same numbers in less memory.
    """
    config = golden.config(model)
    config.train.remat = True
    plain = build_objective(config, network.build(model, dropout=0.0, remat=True))
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    return _with_given(type(plain))(**fields)


def gradients(model, variables, batch, xyxy):
    """(the losses by our names, gradients) of one image on the proposals xyxy f32[N, 4]."""
    aim = objective(model)
    xyxy = np.asarray(xyxy)
    padded = np.zeros((1, aim.max_proposals, 4), np.float32)
    padded[0, : len(xyxy)] = xyxy
    valid = np.arange(aim.max_proposals)[None] < len(xyxy)
    proposals = Proposals(Boxes(padded, valid), np.ones(padded.shape[:2], np.float32))
    if aim not in _compiled:
        _compiled.clear()
        _compiled[aim] = _gradients.lower(aim, variables, batch, proposals).compile()
    scalars, grads = _compiled[aim](variables, batch, proposals)
    assert scalars["rois/left_out"] == scalars["rois/undersampled"] == 0
    losses = {name.removeprefix("loss/"): float(value) for name, value in scalars.items()}
    return losses, grads
