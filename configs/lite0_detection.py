"""Detection, masks and mask IoU of the light model, from ImageNet weights, on DUTS: no ranks.

    make weights
    python train.py --config configs/lite0_detection.py --workdir runs/lite0_detection \
        --config.data.root=PATH_TO_DUTS --config.init_from=weights/efficientnet_lite0
"""

from configs import lite0_pascal_s


def get_config():
    config = lite0_pascal_s.get_config()
    config.loss.weights.rank = 0.0
    config.data.targets = "all"
    config.optim.milestones = (1500, 2200)
    config.train.update(steps=2500, log_every=20, eval_every=0, checkpoint_every=200)
    config.eval.best_metric = "mask_ap50"
    return config
