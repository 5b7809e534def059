"""The original's ablation: position maps, no attention between the objects."""

from configs.reference import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.ranking.interaction = False
    return config
