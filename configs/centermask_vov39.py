"""CenterMask with VoVNet-39 and position-preserved attention: the paper's main model.

    python train.py --config configs/centermask_vov39.py --workdir runs/vov39 \
        --config.data.root=PATH_TO_ASSR --config.init_from=PATH_TO_COCO_WEIGHTS

54,000 iterations of 16 images of 480x640. Published for this row on ASSR test: MAE .081,
SOR .841 on 2371 of 2418 images; not yet measured here, for want of the data set and weights.
"""

from configs import base


def get_config():
    return base.get_config()
