"""The first stage of the light model: it finds, masks and scores objects; ranks come after.

    make weights
    python train.py --config configs/lite0_detection.py:FOLDER --workdir runs/lite0_detection

FOLDER holds `duts` and `coco_instances`, sets without ranks in ASSR layout (docs/training_data.md).
The second stage is configs/lite0_photographs.py; docs/results/lite0_photographs.md has the hours
and the scores of both.
"""

from configs import lite0_pascal_s


def get_config(folder=""):
    config = lite0_pascal_s.get_config()
    config.init_from = "weights/efficientnet_lite0"
    config.loss.weights.rank = 0.0
    config.data.update(root=f"{folder}/duts", targets="all", max_objects=10, canvas_hw=(192, 256))
    config.data.mixture = (
        (f"{folder}/duts", 0.88, "all"),
        (f"{folder}/coco_instances", 0.12, "all"),
    )
    config.model.roi_slots = 16
    config.optim.milestones = (2350, 2550)
    config.train.update(steps=2600, log_every=20, eval_every=0, checkpoint_every=100)
    config.eval.best_metric = "mask_ap50"
    return config
