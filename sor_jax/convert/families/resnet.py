"""torchvision's and timm's ResNet-50 and -101 classifiers as backbones: both use the same names.

Their stride lies in the 3x3 convolution of a block, where detectron2's have it in the first 1x1.
"""

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.families import imagenet
from sor_jax.convert.families.family import Family
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.tensors import CheckpointError
from sor_jax.convert.rename import conv_and_norm, translate

_COUNTER = "num_batches_tracked"


_BLOCK, _OURS = "layer{s-1}.{b-1}.", "stage{s}_{b}/"
_ROWS = (
    *conv_and_norm("conv1.weight", "bn1", "stem"),
    *conv_and_norm(f"{_BLOCK}conv{{i}}.weight", f"{_BLOCK}bn{{i}}", f"{_OURS}unit{{i}}"),
    *conv_and_norm(f"{_BLOCK}downsample.0.weight", f"{_BLOCK}downsample.1", f"{_OURS}shortcut"),
)


def _normalisation(checkpoint: Checkpoint) -> Normalisation:
    """ImageNet's, or what timm's config.json says; refuses relatives with other layers."""
    for name in checkpoint.arrays:
        inside = name.startswith(("layer", "conv1.", "bn1.")) and not name.endswith(_COUNTER)
        if inside and not any(translate(name, row.theirs, row.ours) for row in _ROWS):
            raise CheckpointError(
                f"{checkpoint.path} is a relative of ResNet with a layer that ours has not "
                f"({name}); ResNet-50 and ResNet-101 as torchvision has them can be read"
            )
    return imagenet.normalisation(checkpoint)


RESNET = Family(
    name="ResNet (torchvision, timm)",
    licence="BSD-3-Clause (torchvision), Apache-2.0 (timm); ImageNet's terms for the images",
    rows=_ROWS,
    signature=("layer1.0.conv1.weight",),
    normalisation=_normalisation,
    stride_in_3x3=True,
    not_weights={
        _COUNTER: "a counter of batch norm",
        "fc.weight": "the classifier",
        "fc.bias": "the classifier",
    },
)
