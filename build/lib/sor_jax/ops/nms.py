"""Non-maximum suppression with fixed shapes."""

import jax
import jax.numpy as jnp

from sor_jax.ops import boxes


def nms(
    xyxy: jax.Array, score: jax.Array, valid: jax.Array, *, threshold: float, max_outputs: int
) -> tuple[jax.Array, jax.Array]:
    """Greedy suppression, exact: keeps the best box left, drops those of IoU > threshold with it.

    Takes xyxy f32[N, 4], finite score f32[N] and valid bool[N], N >= 1. Returns index i32[K] of the
    kept boxes in falling score (equal scores: the first) and valid bool[K], for K = max_outputs;
    indices past the last kept box are 0.
    """

    def keep_best(left, _):
        best = jnp.argmax(jnp.where(left, score, -jnp.inf))
        found = left[best]
        overlap = boxes.iou_matrix(xyxy[best][None], xyxy)[0]
        # An empty box does not overlap even itself.
        left = (left & ~(overlap > threshold)).at[best].set(False)
        return left, (best, found)

    _, (index, found) = jax.lax.scan(keep_best, valid, length=max_outputs)
    return jnp.where(found, index, 0).astype(jnp.int32), found


def suppress(xyxy: jax.Array, valid: jax.Array, *, threshold: float) -> jax.Array:
    """bool[N]: which of the boxes f32[N, 4], given in falling score, greedy suppression keeps.

    As `nms` where nearly all boxes may stay: it looks at all pairs at once, not at one box after
    the other. A box stays when none that stays before it overlaps it by more than `threshold`;
    this is repeated until nothing changes, after at most N rounds, usually after a few.
    """
    order = jnp.arange(valid.shape[0])
    pair = (boxes.iou_matrix(xyxy, xyxy) > threshold) & (order[:, None] < order) & valid[:, None]

    def repeat(state):
        keep, _ = state
        new = valid & ~jnp.any(keep[:, None] & pair, axis=0)
        return new, jnp.any(new != keep)

    return jax.lax.while_loop(lambda state: state[1], repeat, (valid, jnp.array(True)))[0]
