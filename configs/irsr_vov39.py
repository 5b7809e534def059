"""CenterMask with VoVNet-39 and position-preserved attention on IRSR, with eight ranks.

    python train.py --config configs/irsr_vov39.py --workdir runs/irsr \
        --config.data.root=PATH_TO_IRSR --config.init_from=PATH_TO_COCO_WEIGHTS

The schedule is ASSR's. IRSR has no split to choose a checkpoint by, so the last one is kept and
scored on test. Not yet measured here, for want of the data set and weights.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.data.update(name="irsr", max_objects=8)
    config.model.num_ranks = 8
    config.model.roi_slots = 108  # 100 proposals and 8 objects
    config.eval.update(split="test", best_metric="")
    return config
