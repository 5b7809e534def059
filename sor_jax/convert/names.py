"""From the names of the original's checkpoint to ours: one table, the first row that matches.

A row is (pattern, path, layout). The path starts with the collection; `layout` names how the array
lies in memory there (convert/layouts.py).
"""

import re
from typing import NamedTuple

_BODY = r"backbone\.bottom_up\."
_FCOS = r"proposal_generator\.fcos_head\."
_MASK, _IOU, _RANK = (rf"roi_heads\.{h}_head\." for h in ("mask", "maskiou", "sor"))
_LAYER = _RANK + r"transformer_encoder\.layers\.(\d)\."
_TO_LAYER = r"ranking/encoder/layer_\1"

_NORM = {
    "weight": "frozen/{}/norm/scale",
    "bias": "frozen/{}/norm/bias",
    "running_mean": "frozen/{}/norm/mean",
    "running_var": "frozen/{}/norm/var",
}


def _leaf(pattern: str, path: str, layout: str) -> list[tuple[str, str, str]]:
    """The weight and the bias of a layer."""
    return [
        (pattern + r"\.weight", f"params/{path}/kernel", layout),
        (pattern + r"\.bias", f"params/{path}/bias", "vector"),
    ]


def _norm(pattern: str, path: str) -> list[tuple[str, str, str]]:
    """The weight and the bias of a trained norm."""
    return [
        (pattern + r"\.weight", f"params/{path}/scale", "vector"),
        (pattern + r"\.bias", f"params/{path}/bias", "vector"),
    ]


def _body(pattern: str, path: str) -> list[tuple[str, str, str]]:
    """A convolution with its frozen norm."""
    return [(pattern + r"/conv\.weight", f"params/backbone/{path}/conv/kernel", "conv")] + [
        (rf"{pattern}/norm\.{leaf}", to.format(f"backbone/{path}"), "vector")
        for leaf, to in _NORM.items()
    ]


TABLE = [
    (re.compile(pattern), path, layout)
    for pattern, path, layout in [
        *_body(_BODY + r"stem\.stem_(\d)", r"stem_\1"),
        *_body(_BODY + r"stage\d\.OSA(\d_\d+)\.layers\.(\d)\.\w+", r"stage\1/layer_\2"),
        *_body(_BODY + r"stage\d\.OSA(\d_\d+)\.concat\.\w+", r"stage\1/concat"),
        *_leaf(_BODY + r"stage\d\.OSA(\d_\d+)\.ese\.fc", r"backbone/stage\1/ese", "dense"),
        *_leaf(r"backbone\.fpn_(lateral\d|output\d)", r"pyramid/\1", "conv"),
        *_leaf(r"backbone\.top_block\.(p\d)", r"pyramid/\1", "conv"),
        *_leaf(_FCOS + r"cls_logits", "fcos/class_logit", "conv"),
        *_leaf(_FCOS + r"bbox_pred", "fcos/box", "conv"),
        *_leaf(_FCOS + r"ctrness", "fcos/centerness", "conv"),
        (_FCOS + r"scales\.(\d)\.scale", r"params/fcos/scale/\1", "element"),
        *_leaf(_MASK + r"mask_fcn(\d)", r"mask/conv\1", "conv"),
        *_leaf(_MASK + r"spatialAtt\.conv", "mask/attention", "conv"),
        *_leaf(_MASK + r"deconv", "mask/deconv", "deconv"),
        *_leaf(_MASK + r"predictor", "mask/predictor", "conv"),
        *_leaf(_IOU + r"maskiou_fcn(\d)", r"iou/conv\1", "conv"),
        *_leaf(_IOU + r"maskiou_fc1", "iou/fc1", "flattened"),
        *_leaf(_IOU + r"maskiou_fc2", "iou/fc2", "dense"),
        *_leaf(_IOU + r"maskiou", "iou/iou", "dense"),
        *_leaf(_RANK + r"pos_conv", "ranking/position_conv", "conv"),
        (_RANK + r"pos_embedding", "params/ranking/center_embedding", "vector"),
        *_leaf(_RANK + r"sor_fcn(\d)", r"ranking/conv\1", "conv"),
        *_leaf(_RANK + r"sor_fc1", "ranking/fc1", "flattened"),
        *_leaf(_RANK + r"sor_fc2", "ranking/fc2", "dense"),
        *_leaf(_RANK + r"sor", "ranking/rank", "dense"),
        (_LAYER + r"self_attn\.in_proj_weight", f"params/{_TO_LAYER}/attention/qkv/kernel", "dense"),
        (_LAYER + r"self_attn\.in_proj_bias", f"params/{_TO_LAYER}/attention/qkv/bias", "vector"),
        *_leaf(_LAYER + r"self_attn\.out_proj", f"{_TO_LAYER}/attention/out", "dense"),
        *_leaf(_LAYER + r"linear(\d)", rf"{_TO_LAYER}/fc\2", "dense"),
        *_norm(_LAYER + r"norm(\d)", rf"{_TO_LAYER}/norm\2"),
    ]
]  # fmt: skip

# Towers are counted in torch modules there: convolution, norm and ReLU take three numbers a layer.
_TOWER = re.compile(_FCOS + r"(cls|bbox)_tower\.(\d+)\.(weight|bias)")


class Place(NamedTuple):
    """Where an array goes: the path from the collection down, and its layout there."""

    path: tuple[str, ...]
    layout: str


def place(name: str) -> Place | None:
    """Where the array called `name` in the original's checkpoint goes; None if nowhere."""
    if tower := _TOWER.fullmatch(name):
        return _tower(*tower.groups())
    for pattern, path, layout in TABLE:
        if match := pattern.fullmatch(name):
            return Place(tuple(match.expand(path).split("/")), layout)
    return None


def _tower(kind: str, number: str, leaf: str) -> Place:
    tower = "class" if kind == "cls" else "box"
    layer, part = divmod(int(number), 3)
    if part == 0:
        to, layout = ("kernel", "conv") if leaf == "weight" else ("bias", "vector")
        return Place(("params", "fcos", f"{tower}_tower_{layer}", to), layout)
    to = "scale" if leaf == "weight" else "bias"
    return Place(("params", "fcos", f"{tower}_norm_{layer}", to), "vector")
