"""What released checkpoints hold, written down from the papers' and the code's description.

Names and shapes are stated here a second time, on their own: not read from the rename tables.
"""

import numpy as np

CONV = {"19-slim": (64, 80, 96, 112), "19": (128, 160, 192, 224)}
OUT = {"19-slim": (112, 256, 384, 512), "19": (256, 512, 768, 1024)}
BODIES = {  # name: (widths, layers of a block, blocks of each stage, depthwise)
    "vovnet19_slim_dw": ("19-slim", 3, (1, 1, 1, 1), True),
    "vovnet19_slim": ("19-slim", 3, (1, 1, 1, 1), False),
    "vovnet19_dw": ("19", 3, (1, 1, 1, 1), True),
    "vovnet19": ("19", 3, (1, 1, 1, 1), False),
    "vovnet39": ("19", 5, (1, 1, 2, 2), False),
    "vovnet57": ("19", 5, (1, 1, 4, 3), False),
}


def _norm(shapes, name, channels):
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{name}.{leaf}"] = (channels,)


def _layer(shapes, name, *shape, bias=True):
    shapes[f"{name}.weight"] = shape
    if bias:
        shapes[f"{name}.bias"] = (shape[0],)


def body(kind, prefix):
    """{name: shape} of a VoVNet body of detectron2."""
    widths, layers, blocks, depthwise = BODIES[kind]
    shapes = {}

    def unit(name, channels, out, side, separate=False):
        if separate:
            _layer(shapes, f"{name}/dw_conv3x3", channels, 1, 3, 3, bias=False)
            _layer(shapes, f"{name}/pw_conv1x1", out, channels, 1, 1, bias=False)
            _norm(shapes, f"{name}/pw_norm", out)
        else:
            _layer(shapes, f"{name}/conv", out, channels, side, side, bias=False)
            _norm(shapes, f"{name}/norm", out)

    stem = (64, 64, 64) if depthwise else (64, 64, 128)
    for i, (channels, out) in enumerate(zip((3, *stem), stem, strict=False)):
        unit(f"{prefix}stem.stem_{i + 1}", channels, out, 3, depthwise and i > 0)
    channels = stem[-1]
    for s, (conv, out) in enumerate(zip(CONV[widths], OUT[widths], strict=True)):
        for b in range(blocks[s]):
            module = f"OSA{s + 2}_{b + 1}"
            place = f"{prefix}stage{s + 2}.{module}"
            inner = channels
            if depthwise and channels != conv:
                unit(f"{place}.conv_reduction.{module}_reduction_0", channels, conv, 1)
            for i in range(layers):
                inner = conv if depthwise or i > 0 else channels
                unit(f"{place}.layers.{i}.{module}_{i}", inner, conv, 3, depthwise)
            unit(f"{place}.concat.{module}_concat", channels + layers * conv, out, 1)
            _layer(shapes, f"{place}.ese.fc", out, out, 1, 1)
            channels = out
    return shapes


def centermask2(kind, *, lite, classes=80):
    """{name: shape} of a checkpoint of centermask2, trained on COCO."""
    width, towers, convs = (128, 2, 2) if lite else (256, 4, 4)
    shapes = body(kind, "backbone.bottom_up.")
    for level, channels in zip((3, 4, 5), OUT[BODIES[kind][0]][1:], strict=True):
        _layer(shapes, f"backbone.fpn_lateral{level}", width, channels, 1, 1)
        _layer(shapes, f"backbone.fpn_output{level}", width, width, 3, 3)
    for level in (6, 7):
        _layer(shapes, f"backbone.top_block.p{level}", width, width, 3, 3)
    head = "proposal_generator.fcos_head."
    for tower in ("cls", "bbox"):
        for i in range(towers):
            _layer(shapes, f"{head}{tower}_tower.{3 * i}", width, width, 3, 3)
            _layer(shapes, f"{head}{tower}_tower.{3 * i + 1}", width)
    for name, out in (("cls_logits", classes), ("bbox_pred", 4), ("ctrness", 1)):
        _layer(shapes, head + name, out, width, 3, 3)
    for level in range(5):
        shapes[f"{head}scales.{level}.scale"] = (1,)
    mask, iou = "roi_heads.mask_head.", "roi_heads.maskiou_head."
    for i in range(convs):
        _layer(shapes, f"{mask}mask_fcn{i + 1}", width, width, 3, 3)
        _layer(shapes, f"{iou}maskiou_fcn{i + 1}", width, width + (i == 0), 3, 3)
    _layer(shapes, f"{mask}spatialAtt.conv", 1, 2, 3, 3, bias=False)
    _layer(shapes, f"{mask}deconv", width, width, 2, 2)
    _layer(shapes, f"{mask}predictor", classes, width, 1, 1)
    _layer(shapes, f"{iou}maskiou_fc1", 1024, width * 49)
    _layer(shapes, f"{iou}maskiou_fc2", 1024, 1024)
    _layer(shapes, f"{iou}maskiou", classes, 1024)
    return shapes


def zeros(shapes):
    """Arrays of these shapes that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def lite(config):
    """Turns a config into that of centermask2's lite models."""
    config.model.pyramid.channels = 128
    config.model.fcos.update(channels=128, depth=2)
    config.model.mask.update(channels=128, depth=2)
    config.model.iou.update(channels=128, depth=2)
    return config
