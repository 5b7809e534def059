"""A program as StableHLO, in the file format of jax.export: plain jax loads and runs it."""

from collections.abc import Sequence

import jax
import jax.export
import jax.numpy as jnp

from sor_jax.export.program import Program

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def to_stablehlo(
    program: Program, *, batch: int | None = 1, platforms: Sequence[str] = ("cpu",)
) -> bytes:
    """The bytes of the file, for `jax.export.deserialize`.

    Args:
      program: what is written.
      batch: images in one call; None leaves it open, and each size is compiled when it is met.
      platforms: of PLATFORMS, what the program may run on; the forms that are fast there are
        chosen where it runs.

    Raises:
      ValueError: the batch or a platform cannot be used.
    """
    if unknown := [name for name in platforms if name not in PLATFORMS]:
        raise ValueError(f"platform is {unknown[0]!r}; expected some of {', '.join(PLATFORMS)}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch is {batch}; expected 1 or more")
    size = jax.export.symbolic_shape("B")[0] if batch is None else batch
    images = jax.ShapeDtypeStruct((size, *program.canvas_hw, 3), jnp.uint8)
    sizes = jax.ShapeDtypeStruct((size, 2), jnp.int32)
    exported = jax.export.export(jax.jit(program.call), platforms=tuple(platforms))(images, sizes)
    return bytes(exported.serialize())
