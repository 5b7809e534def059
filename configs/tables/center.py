"""Table 5, (Cx, Cy): the centre beside the token, whose width stays with it."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    ranking = config.model.ranking
    first, width = ranking.hidden
    ranking.update(position="center", hidden=(first, width - 2))
    return config
