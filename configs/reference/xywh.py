"""The original's ablation: (Cx, Cy, w, h) beside the token, with its slip in h."""

from configs.reference import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.ranking.position = "box"
    config.model.ranking.hidden = (1024, 1020)
    config.model.ranking.slipped_height = True
    return config
