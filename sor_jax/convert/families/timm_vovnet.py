"""timm's VoVNet classifiers as backbones: ese_vovnet39b, 57b, 19b_dw and their kin.

Their norms are batch norms; their running statistics are used as they are, frozen. timm excites
only the last block of a stage: in the others our gate is set open, which is the same.
"""

import dataclasses
import re

import numpy as np

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.families import imagenet
from sor_jax.convert.families.family import Family, Filled
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.rename import Row, conv_and_norm, frozen_norm, layer

_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_57B = "stages.2.blocks.3.conv_concat.conv.weight"  # no other has four blocks there
_99B = "stages.2.blocks.4.conv_concat.conv.weight"
_GATE = re.compile(r"params/backbone/stage(\d)_(\d+)/ese/(kernel|bias)")


def _conv_norm(theirs: str, ours: str) -> list[Row]:
    return conv_and_norm(f"{theirs}.conv.weight", f"{theirs}.bn", ours)


def _depthwise(theirs: str, ours: str) -> list[Row]:
    ours = f"backbone/{ours}"
    return [
        Row(f"{theirs}.conv_dw.weight", f"params/{ours}/depthwise/kernel", "conv"),
        Row(f"{theirs}.conv_pw.weight", f"params/{ours}/pointwise/kernel", "conv"),
        *frozen_norm(f"{theirs}.bn", f"{ours}/pointwise_norm"),
    ]


def _rows(unit) -> tuple[Row, ...]:
    block = "stages.{s-2}.blocks.{b-1}"
    return (
        *_conv_norm("stem.0", "stem_1"),
        *unit("stem.{i-1}", "stem_{i}"),
        *unit(f"{block}.conv_mid.{{i}}", "stage{s}_{b}/layer_{i}"),
        *_conv_norm(f"{block}.conv_reduction", "stage{s}_{b}/reduction"),
        *_conv_norm(f"{block}.conv_concat", "stage{s}_{b}/concat"),
        *layer(f"{block}.attn.fc", "backbone/stage{s}_{b}/ese", "dense_1x1"),
    )


def _normalisation(checkpoint: Checkpoint) -> Normalisation:
    """From the config.json that timm publishes beside a file, else what timm trained it with."""
    halves = _57B in checkpoint.arrays and _99B not in checkpoint.arrays
    return imagenet.normalisation(checkpoint, *(_HALF if halves else ()))


def _open_gate(path, shape, found) -> Filled | None:
    match = _GATE.fullmatch(path)
    if match is None:
        return None
    stage, block, leaf = int(match[1]), int(match[2]), match[3]
    if f"params/backbone/stage{stage}_{block + 1}/concat/conv/kernel" not in found:
        return None  # the last block of a stage has its own
    value = 0.0 if leaf == "kernel" else 3.0  # hard sigmoid of 3 is 1
    return Filled(
        np.full(shape, value, np.float32), "timm has no eSE in this block: the gate starts open"
    )


TIMM_VOVNET = Family(
    name="timm VoVNet",
    licence="Apache-2.0",
    rows=_rows(_conv_norm),
    signature=("stem.1.conv.weight",),
    normalisation=_normalisation,
    not_weights={
        "num_batches_tracked": "a counter of batch norm",
        "head.fc.weight": "the classifier",
        "head.fc.bias": "the classifier",
    },
    fill=_open_gate,
)
TIMM_VOVNET_DW = dataclasses.replace(
    TIMM_VOVNET,
    name="timm VoVNet, depthwise",
    rows=_rows(_depthwise),
    signature=("stem.1.conv_dw.weight",),
)
