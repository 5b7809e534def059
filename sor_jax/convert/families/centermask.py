"""CenterMask on VoVNet under detectron2's names: the PPA paper's code, centermask2 and its lite.

Also the VoVNet bodies for detectron2, trained on ImageNet: the same names without the first two
words.
"""

from sor_jax.convert.families.detectron2 import (
    NOT_WEIGHTS,
    kernels_and_biases,
    masks,
    normalisation,
    pyramid,
    ranking,
)
from sor_jax.convert.families.family import Family
from sor_jax.convert.rename import Row, conv_and_norm, frozen_norm, layer, norm


def _conv_norm(theirs: str, ours: str) -> list[Row]:
    """A convolution without bias and its norm, or the pair of a depthwise and a 1x1 one."""
    return [
        *conv_and_norm(f"{theirs}/conv.weight", f"{theirs}/norm", ours),
        Row(f"{theirs}/dw_conv3x3.weight", f"params/backbone/{ours}/depthwise/kernel", "conv"),
        Row(f"{theirs}/pw_conv1x1.weight", f"params/backbone/{ours}/pointwise/kernel", "conv"),
        *frozen_norm(f"{theirs}/pw_norm", f"backbone/{ours}/pointwise_norm"),
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
        *masks(),
        *layer(f"{mask}spatialAtt.conv", "mask/attention", "conv"),
        *layer(f"{iou}maskiou_fcn{{i}}", "iou/conv{i}", "conv"),
        *layer(f"{iou}maskiou_fc1", "iou/fc1", "flattened"),
        *layer(f"{iou}maskiou_fc2", "iou/fc2", "dense"),
        *layer(f"{iou}maskiou", "iou/iou", "dense"),
    ]


CENTERMASK = Family(
    name="CenterMask (detectron2)",
    licence="CC BY-NC 4.0 where they come from centermask2, the PPA paper's weights among them",
    rows=(
        *_backbone("backbone.bottom_up."),
        *pyramid(),
        *layer("backbone.top_block.p{i}", "pyramid/p{i}", "conv"),
        *_fcos(),
        *_masks(),
        *ranking(),
        *_backbone(""),
    ),
    signature=("backbone.bottom_up.stem.stem_1/conv.weight", "stem.stem_1/conv.weight"),
    normalisation=normalisation,
    class_shaped=kernels_and_biases("fcos/class_logit", "mask/predictor", "iou/iou"),
    not_weights=NOT_WEIGHTS,
)
