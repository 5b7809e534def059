"""Prediction as one function of arrays, the weights inside: what every exported file holds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from sor_jax.build import build_model, build_predict
from sor_jax.structures import NO_RANK, Images

INPUTS = ("images", "sizes")
OUTPUTS = {
    "boxes": "f32[B, N, 4] x0 y0 x1 y1 in pixels of the canvas",
    "scores": "f32[B, N] how sure the detector is of the object, 0..1, falling",
    "mask_scores": "f32[B, N] the score times the predicted IoU of the mask",
    "masks": "f32[B, N, 28, 28] probabilities over the box",
    "rank_probabilities": "f32[B, N, K] how probable ranks 1 .. K are, a row sums to 1",
    "ranks": "i32[B, N] 1 = seen first .. K, 0 = none",
    "valid": "bool[B, N] False = an empty slot, whose other values mean nothing",
    "finite": "bool[B] False = the network overflowed: read nothing of this image",
}


@dataclasses.dataclass(frozen=True)
class Program:
    """A model as a function: program(images u8[B, H, W, 3], sizes i32[B, 2]) -> OUTPUTS.

    Images are RGB with the photograph at the top left; sizes are its height and width there, 0 x 0
    for a filler, which has no objects. Normalisation is part of the program.

    Attributes:
      call: the function, pure.
      canvas_hw: H and W.
      facts: what a reader of the file should know, text under names.
    """

    call: Callable[[jax.Array, jax.Array], dict[str, jax.Array]]
    canvas_hw: tuple[int, int]
    facts: dict[str, str]


def build_program(
    variables: Any,
    config: ml_collections.ConfigDict,
    *,
    name: str = "",
    card: dict | None = None,
    canvas_hw: tuple[int, int] | None = None,
    dtype: str = "float32",
) -> Program:
    """The program of a model.

    Args:
      variables: {"params", "frozen"}.
      config: of the model.
      name, card: what is known of it, see `sor_jax.checkpoints.exported`.
      canvas_hw: multiples of 32; None is the model's own. Another one runs, but the model was not
        trained at that size.
      dtype: what layers compute in, "float32" or "bfloat16".

    Raises:
      ValueError: the canvas or the dtype cannot be used.
    """
    config = config.copy_and_resolve_references()
    hw = tuple(int(side) for side in canvas_hw or config.data.canvas_hw)
    if len(hw) != 2 or any(side <= 0 or side % 32 for side in hw):
        raise ValueError(f"the canvas is {hw}; expected two multiples of 32, height and width")
    config.train.dtype = dtype
    predict = build_predict(config, build_model(config))
    variables = jax.tree.map(jnp.asarray, variables)

    def call(images, sizes):
        found = predict(variables, Images(images, sizes, jnp.all(sizes > 0, axis=1)))
        valid = found.boxes.valid
        has_rank = valid & (found.rank_class != NO_RANK)
        return {
            "boxes": found.boxes.xyxy,
            "scores": found.score,
            "mask_scores": found.mask_score,
            "masks": found.mask_prob,
            "rank_probabilities": jax.nn.softmax(found.rank_logit, axis=-1)[..., ::-1],
            "ranks": jnp.where(has_rank, found.rank_logit.shape[-1] - found.rank_class, 0),
            "valid": valid,
            "finite": found.finite,
        }

    return Program(call, hw, _facts(name, dict(card or {}), hw, config, dtype))


def _facts(name, card, hw, config, dtype) -> dict[str, str]:
    facts = {
        "model": name,
        "canvas_hw": f"{hw[0]}x{hw[1]}",
        "rank_rule": config.model.rank_rule,
        "dtype": dtype,
        "weights_sha256": card.get("sha256", ""),
        "licence": card.get("licence", ""),
        "summary": card.get("summary", ""),
    }
    inputs = {
        "input.images": "u8[B, H, W, 3] RGB, the photograph at the top left of the canvas",
        "input.sizes": "i32[B, 2] the photograph's height and width in the canvas, 0 0 = a filler",
    }
    outputs = {f"output.{key}": text for key, text in OUTPUTS.items()}
    return {key: str(value) for key, value in {**facts, **inputs, **outputs}.items() if value}
