"""Table 4, baseline: the same branch without position and without attention."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.model.ranking.update(position="none", interaction=False)
    return config
