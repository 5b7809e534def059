"""CenterMask with VoVNet-57 and position-preserved attention.

    python train.py --config configs/centermask_vov57.py --workdir runs/vov57 \
        --config.data.root=PATH_TO_ASSR --config.init_from=PATH_TO_COCO_WEIGHTS

8,000 iterations of 16 images of 480x640, as the original's schedule for this model. Published for
this row on ASSR test: MAE .085, SOR .848 on 2376 of 2418 images; not yet measured here.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.model.backbone = "vovnet57"
    config.optim.milestones = (4000, 5000)
    config.train.steps = 8000
    return config
