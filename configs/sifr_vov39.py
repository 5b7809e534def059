"""CenterMask with VoVNet-39 and position-preserved attention on SIFR, with eight ranks.

    python train.py --config configs/sifr_vov39.py --workdir runs/sifr \
        --config.data.root=PATH_TO_SIFR --config.init_from=PATH_TO_COCO_WEIGHTS

The schedule is ASSR's. The objects after the eighth of a photograph are learnt without a rank; the
metrics count them. The last checkpoint is kept and scored on test: a download without a val split
has nothing to choose one by. Not yet measured here, for want of the data set and weights.
"""

from configs import irsr_vov39


def get_config():
    config = irsr_vov39.get_config()
    config.data.name = "sifr"
    return config
