"""The input of classifiers that torchvision and timm trained on ImageNet."""

import json
from collections.abc import Sequence

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.tensors import CheckpointError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalisation(
    checkpoint: Checkpoint, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
) -> Normalisation:
    """From the config.json that timm publishes beside a file, else the mean and std given.

    Args:
      checkpoint: the file.
      mean, std: of pixels in 0..1, one number a channel, RGB.
    """
    beside = checkpoint.path.with_name("config.json")
    if beside.is_file():
        try:
            facts = json.loads(beside.read_text())["pretrained_cfg"]
            mean, std = facts["mean"], facts["std"]
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{beside} does not say pretrained_cfg.mean and .std ({error!r}); it must be the "
                "one that was published with the weights, or not be there"
            ) from error
    mean, std = (tuple(round(255 * value, 6) for value in part) for part in (mean, std))
    return Normalisation("rgb", mean, std)
