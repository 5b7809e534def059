"""Table 4, + attention: the objects see each other, none knows its place."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.model.ranking.position = "none"
    return config
