"""Mask R-CNN with ResNet-101-FPN and position-preserved attention.

    python train.py --config configs/mask_rcnn_r101.py --workdir runs/r101 \
        --config.data.root=PATH_TO_ASSR --config.init_from=PATH_TO_COCO_WEIGHTS

54,000 iterations of 16 images of 480x640. Published for this row on ASSR test: MAE .094,
SOR .826 on 2366 of 2418 images; not yet measured here, for want of the data set and weights.
"""

from configs import mask_rcnn_r50


def get_config():
    config = mask_rcnn_r50.get_config()
    config.model.backbone = "resnet101"
    return config
