"""CenterMask-39 exactly as the paper's released code computes it, where that differs from the text.

For checkpoints of that code, and for the golden numbers. Each field below is one difference.
"""

from configs import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.ranking.activation = "relu"
    config.model.ranking.mask_channel = True
    config.model.rank_rule = "reference"
    config.model.clip_boxes = False
    config.model.box_extent = 4.0
    config.loss.mask_gradient = True
    config.loss.whole_pixels = True
    config.data.flip = True
    return config
