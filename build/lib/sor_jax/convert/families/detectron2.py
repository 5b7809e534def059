"""What all models under detectron2's names have in common."""

from sor_jax.checkpoints.provenance import Normalisation
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.rename import Row, layer, norm

NOT_WEIGHTS = {
    "pixel_mean": "read as the input's normalisation",
    "pixel_std": "read as the input's normalisation",
    "num_batches_tracked": "a counter of batch norm",
}


def pyramid() -> list[Row]:
    """The feature pyramid, less what lies above P5."""
    return [
        *layer("backbone.fpn_lateral{i}", "pyramid/lateral{i}", "conv"),
        *layer("backbone.fpn_output{i}", "pyramid/output{i}", "conv"),
    ]


def masks() -> list[Row]:
    """The mask head, less its attention."""
    head = "roi_heads.mask_head."
    return [
        *layer(f"{head}mask_fcn{{i}}", "mask/conv{i}", "conv"),
        *layer(f"{head}deconv", "mask/deconv", "deconv"),
        *layer(f"{head}predictor", "mask/predictor", "conv"),
    ]


def ranking() -> list[Row]:
    """The ranking head of the PPA paper's code."""
    head = "roi_heads.sor_head."
    there, here = head + "transformer_encoder.layers.{i}", "ranking/encoder/layer_{i}"
    return [
        *layer(f"{head}pos_conv", "ranking/position_conv", "conv"),
        Row(f"{head}pos_embedding", "params/ranking/center_embedding", "vector"),
        *layer(f"{head}sor_fcn{{i}}", "ranking/conv{i}", "conv"),
        *layer(f"{head}sor_fc1", "ranking/fc1", "flattened"),
        *layer(f"{head}sor_fc2", "ranking/fc2", "dense"),
        *layer(f"{head}sor", "ranking/rank", "dense"),
        Row(f"{there}.self_attn.in_proj_weight", f"params/{here}/attention/qkv/kernel", "dense"),
        Row(f"{there}.self_attn.in_proj_bias", f"params/{here}/attention/qkv/bias", "vector"),
        *layer(f"{there}.self_attn.out_proj", f"{here}/attention/out", "dense"),
        *layer(f"{there}.linear{{j}}", f"{here}/fc{{j}}", "dense"),
        *norm(f"{there}.norm{{j}}", f"{here}/norm{{j}}"),
    ]


def normalisation(checkpoint: Checkpoint) -> Normalisation:
    """The checkpoint's own mean and deviation where it holds them, else detectron2's defaults."""
    default = Normalisation("bgr", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0))
    own = [checkpoint.arrays.get(name) for name in ("pixel_mean", "pixel_std")]
    mean, std = (
        part if array is None else tuple(float(f"{value:.7g}") for value in array.reshape(-1))
        for part, array in zip((default.pixel_mean, default.pixel_std), own, strict=True)
    )
    return Normalisation(default.pixel_order, mean, std)


def kernels_and_biases(*parts: str) -> tuple[str, ...]:
    """Our paths of both arrays of each part."""
    return tuple(f"params/{part}/{leaf}" for part in parts for leaf in ("kernel", "bias"))
