"""The original's ablation: a learnt embedding of the centre on a 4 x 4 grid."""

from configs.reference import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.ranking.position = "grid"
    config.model.ranking.center_grid = 4
    return config
