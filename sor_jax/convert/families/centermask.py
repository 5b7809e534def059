"""CenterMask on VoVNet under detectron2's names: the PPA paper's code, centermask2 and its lite.

Also the VoVNet bodies for detectron2, trained on ImageNet: the same names without the first two
words.
"""

from sor_jax.convert.families.family import Family
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.rename import Row, frozen_norm, layer, norm
from sor_jax.train.provenance import Normalisation


def _conv_norm(theirs: str, ours: str) -> list[Row]:
    """A convolution without bias and its norm, or the pair of a depthwise and a 1x1 one."""
    ours = f"backbone/{ours}"
    return [
        Row(f"{theirs}/conv.weight", f"params/{ours}/conv/kernel", "conv"),
        *frozen_norm(f"{theirs}/norm", f"{ours}/norm"),
        Row(f"{theirs}/dw_conv3x3.weight", f"params/{ours}/depthwise/kernel", "conv"),
        Row(f"{theirs}/pw_conv1x1.weight", f"params/{ours}/pointwise/kernel", "conv"),
        *frozen_norm(f"{theirs}/pw_norm", f"{ours}/pointwise_norm"),
    ]


def _backbone(under: str) -> list[Row]:
    block, name = under + "stage{s}.OSA{s}_{b}", "OSA{s}_{b}"
    return [
        *_conv_norm(under + "stem.stem_{i}", "stem_{i}"),
        *_conv_norm(f"{block}.layers.{{i}}.{name}_{{i}}", "stage{s}_{b}/layer_{i}"),
        *_conv_norm(f"{block}.conv_reduction.{name}_reduction_0", "stage{s}_{b}/reduction"),
        *_conv_norm(f"{block}.concat.{name}_concat", "stage{s}_{b}/concat"),
        *layer(f"{block}.ese.fc", "backbone/stage{s}_{b}/ese", "dense_1x1"),
    ]


def _fcos() -> list[Row]:
    head = "proposal_generator.fcos_head."
    rows = [
        *layer(f"{head}cls_logits", "fcos/class_logit", "conv"),
        *layer(f"{head}bbox_pred", "fcos/box", "conv"),
        *layer(f"{head}ctrness", "fcos/centerness", "conv"),
        Row(f"{head}scales.{{i}}.scale", "params/fcos/scale/{i}", "element"),
    ]
    # Towers are counted in torch's modules: convolution, norm and ReLU take three numbers a layer.
    for there, here in (("cls", "class"), ("bbox", "box")):
        rows += layer(f"{head}{there}_tower.{{3*i}}", f"fcos/{here}_tower_{{i}}", "conv")
        rows += norm(f"{head}{there}_tower.{{3*i+1}}", f"fcos/{here}_norm_{{i}}")
    return rows


def _masks() -> list[Row]:
    mask, iou = "roi_heads.mask_head.", "roi_heads.maskiou_head."
    return [
        *layer(f"{mask}mask_fcn{{i}}", "mask/conv{i}", "conv"),
        *layer(f"{mask}spatialAtt.conv", "mask/attention", "conv"),
        *layer(f"{mask}deconv", "mask/deconv", "deconv"),
        *layer(f"{mask}predictor", "mask/predictor", "conv"),
        *layer(f"{iou}maskiou_fcn{{i}}", "iou/conv{i}", "conv"),
        *layer(f"{iou}maskiou_fc1", "iou/fc1", "flattened"),
        *layer(f"{iou}maskiou_fc2", "iou/fc2", "dense"),
        *layer(f"{iou}maskiou", "iou/iou", "dense"),
    ]


def ranking() -> list[Row]:
    """The ranking head, which the original's Mask R-CNN shares."""
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


def detectron2_normalisation(checkpoint: Checkpoint) -> Normalisation:
    """The checkpoint's own mean and deviation where it holds them, else detectron2's defaults."""
    default = Normalisation("bgr", (103.53, 116.28, 123.675), (1.0, 1.0, 1.0))
    own = [checkpoint.arrays.get(name) for name in ("pixel_mean", "pixel_std")]
    mean, std = (
        part if array is None else tuple(float(f"{value:.7g}") for value in array.reshape(-1))
        for part, array in zip((default.pixel_mean, default.pixel_std), own, strict=True)
    )
    return Normalisation(default.pixel_order, mean, std)


CENTERMASK = Family(
    name="CenterMask (detectron2)",
    licence="CC BY-NC 4.0 where they come from centermask2, the PPA paper's weights among them",
    rows=(
        *_backbone("backbone.bottom_up."),
        *layer("backbone.fpn_lateral{i}", "pyramid/lateral{i}", "conv"),
        *layer("backbone.fpn_output{i}", "pyramid/output{i}", "conv"),
        *layer("backbone.top_block.p{i}", "pyramid/p{i}", "conv"),
        *_fcos(),
        *_masks(),
        *ranking(),
        *_backbone(""),
    ),
    signature=("backbone.bottom_up.stem.stem_1/conv.weight", "stem.stem_1/conv.weight"),
    normalisation=detectron2_normalisation,
    class_shaped=tuple(
        f"params/{part}/{leaf}"
        for part in ("fcos/class_logit", "mask/predictor", "iou/iou")
        for leaf in ("kernel", "bias")
    ),
    not_weights={
        "pixel_mean": "read as the input's normalisation",
        "pixel_std": "read as the input's normalisation",
        "num_batches_tracked": "a counter of batch norm",
    },
)
