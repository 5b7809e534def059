"""The original's baseline: neither position nor attention, and a narrower head."""

from configs.reference import centermask_vov39


def get_config():
    config = centermask_vov39.get_config()
    config.model.ranking.position = "none"
    config.model.ranking.interaction = False
    config.model.ranking.channels = 128
    config.model.ranking.depth = 2
    config.model.ranking.hidden = (512, 256)
    config.optim.rate = 1e-2
    return config
