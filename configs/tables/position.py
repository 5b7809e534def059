"""Table 4, + position: coordinate maps, no attention between the objects."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.model.ranking.interaction = False
    return config
