"""The light model that ships: it finds what people look at and orders it, on any photograph.

    python train.py --config configs/lite0_detection.py:FOLDER --workdir runs/lite0_detection
    python train.py --config configs/lite0_photographs.py:FOLDER --workdir runs/lite0_photographs

FOLDER holds `duts` and `coco_instances` (no ranks), `pascal_s` and `coco_salicon_mini` (ranks), all
in ASSR layout (docs/training_data.md). Trained so, but for what docs/results/lite0_photographs.md
says, in two hours on two shared CPU cores: on PASCAL-S test SA-SOR .65 (.52 to .77), SOR multi .78
(.68 to .87), 83 % matched, mask AP50 .46.
"""

from configs import lite0_pascal_s


def get_config(folder=""):
    config = lite0_pascal_s.get_config()
    config.init_from = "runs/lite0_detection"
    config.data.update(root=f"{folder}/pascal_s", scale=(0.7, 1.4))
    config.data.mixture = (
        (f"{folder}/pascal_s", 0.65, "ranked"),
        (f"{folder}/duts", 0.25, "all"),
        (f"{folder}/coco_salicon_mini", 0.1, "ranked"),
    )
    config.model.roi_slots = 16
    config.optim.update(warmup_steps=30, milestones=(720, 850))
    config.train.update(steps=900, ema=0.995, log_every=20, eval_every=0, checkpoint_every=100)
    config.eval.best_metric = ""
    return config
