"""Mask R-CNN on a ResNet under detectron2's names: the PPA paper's code and detectron2's models.

Also the ResNet bodies that detectron2 starts from, trained on ImageNet: Caffe2's names.
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
from sor_jax.convert.rename import Row, conv_and_norm, layer


def _backbone(under: str) -> list[Row]:
    block, here = under + "res{s}.{b-1}.", "stage{s}_{b}/"
    stem, conv, shortcut = f"{under}stem.conv1", f"{block}conv{{i}}", f"{block}shortcut"
    return [
        *conv_and_norm(f"{stem}.weight", f"{stem}.norm", "stem"),
        *conv_and_norm(f"{conv}.weight", f"{conv}.norm", f"{here}unit{{i}}"),
        *conv_and_norm(f"{shortcut}.weight", f"{shortcut}.norm", f"{here}shortcut"),
    ]


def _caffe2() -> list[Row]:
    """Names of Caffe2; a block's branch 1 is its shortcut, 2a, 2b and 2c are its convolutions."""
    block, here = "res{s}_{b-1}_branch", "stage{s}_{b}/"
    names = [("conv1", "res_conv1", "stem"), (f"{block}1", f"{block}1", f"{here}shortcut")]
    for letter, i in zip("abc", (1, 2, 3), strict=True):
        names.append((f"{block}2{letter}", f"{block}2{letter}", f"{here}unit{i}"))
    leaves = {"gamma": "scale", "beta": "bias", "running_mean": "mean", "running_var": "var"}
    rows = []
    for conv, norm, ours in names:
        rows.append(Row(f"{conv}_w", f"params/backbone/{ours}/conv/kernel", "conv"))
        for there, leaf in leaves.items():
            rows.append(Row(f"{norm}_bn_{there}", f"frozen/backbone/{ours}/norm/{leaf}", "vector"))
    return rows


def _detector() -> list[Row]:
    rpn, box = "proposal_generator.rpn_head.", "roi_heads.box_"
    return [
        *layer(f"{rpn}conv", "rpn/conv", "conv"),
        *layer(f"{rpn}objectness_logits", "rpn/objectness", "conv"),
        *layer(f"{rpn}anchor_deltas", "rpn/delta", "conv"),
        *layer(f"{box}head.fc1", "box/fc1", "flattened"),
        *layer(f"{box}head.fc2", "box/fc2", "dense"),
        *layer(f"{box}predictor.cls_score", "box/class_logit", "dense"),
        *layer(f"{box}predictor.bbox_pred", "box/delta", "dense"),
    ]


MASK_RCNN = Family(
    name="Mask R-CNN (detectron2)",
    licence="CC BY-SA 3.0 where they come from detectron2, the PPA paper's weights among them",
    rows=(
        *_backbone("backbone.bottom_up."),
        *pyramid(),
        *_detector(),
        *masks(),
        *ranking(),
        *_caffe2(),
    ),
    signature=("backbone.bottom_up.stem.conv1.weight", "res2_0_branch2a_w"),
    normalisation=normalisation,
    stride_in_3x3=False,
    class_shaped=kernels_and_biases("box/class_logit", "box/delta", "mask/predictor"),
    not_weights={
        **NOT_WEIGHTS,
        **{f"cell_anchors.{level}": "anchors, known from the config" for level in range(5)},
        "fc1000_w": "the classifier",
        "fc1000_b": "the classifier",
        "conv1_b": "a bias that detectron2 does not read either",
    },
)
