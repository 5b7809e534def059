"""CenterMask-57 exactly as the paper's released code computes it."""

from configs.reference import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.backbone = "vovnet57"
    config.optim.milestones = (4000, 5000)
    config.train.steps = 8000
    return config
