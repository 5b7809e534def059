"""Mask R-CNN with ResNet-50-FPN and position-preserved attention.

    python train.py --config configs/mask_rcnn_r50.py --workdir runs/r50 \
        --config.data.root=PATH_TO_ASSR --config.init_from=PATH_TO_COCO_WEIGHTS

54,000 iterations of 16 images of 480x640. Published for this row on ASSR test: MAE .097,
SOR .817 on 2354 of 2418 images; not yet measured here, for want of the data set and weights.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.model.update(detector="mask_rcnn", backbone="resnet50")
    config.model.mask.spatial_attention = False
    config.model.roi_slots = 128  # a quarter of the sampled regions
    return config
