"""Mask R-CNN R-101 exactly as the paper's released code computes it."""

from configs.reference import mask_rcnn_r50


def get_config():
    config = mask_rcnn_r50.get_config()
    config.model.backbone = "resnet101"
    return config
