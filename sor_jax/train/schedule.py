"""The learning rate of every step: linear warm-up, then drops at milestones."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp


def warmup_multistep(
    rate: float,
    *,
    warmup_steps: int = 1000,
    warmup_factor: float = 0.001,
    milestones: Sequence[int] = (42_000, 50_000),
    gamma: float = 0.1,
) -> Callable[[jax.Array | int], jax.Array]:
    """The schedule of the paper and of the released training code.

    Step i counts from 0. Below `warmup_steps` the rate is
    rate * (factor + (1 - factor) * i / warmup_steps); from each milestone on it is multiplied by
    `gamma` once more, the milestone itself included.

    Returns:
      A function step -> f32[], the rate of that step; it takes traced steps too.
    """
    if not rate > 0:
        raise ValueError(f"optim.learning_rate is {rate}: it must be above 0")
    if warmup_steps < 0 or not 0 <= warmup_factor <= 1:
        raise ValueError(
            f"optim.warmup_steps {warmup_steps} must not be negative, and optim.warmup_factor "
            f"{warmup_factor} must lie in 0..1"
        )
    if list(milestones) != sorted(set(milestones)):
        raise ValueError(f"optim.milestones {tuple(milestones)} must rise: put them in order")

    def rate_at(step):
        step = jnp.asarray(step)
        progress = jnp.minimum(step / max(warmup_steps, 1), 1.0)
        warmup = warmup_factor + (1.0 - warmup_factor) * progress if warmup_steps else 1.0
        drops = sum((step >= milestone).astype(jnp.float32) for milestone in milestones)
        return jnp.asarray(rate * warmup * gamma**drops, jnp.float32)

    return rate_at
