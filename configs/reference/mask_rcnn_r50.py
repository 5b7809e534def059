"""Mask R-CNN R-50 exactly as the paper's released code computes it.

For checkpoints of that code, and for the golden numbers. Each field below is one difference.
"""

from configs import mask_rcnn_r50


def get_config():
    config = mask_rcnn_r50.get_config()
    config.model.ranking.activation = "relu"
    config.model.ranking.mask_channel = True
    config.model.rank_rule = "reference_mask_rcnn"
    config.loss.mask_gradient = True
    config.loss.raw_mask = True
    config.data.flip = True
    return config
