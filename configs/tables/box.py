"""Table 5, (Cx, Cy, w, h): centre and size beside the token, whose width stays with them."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    ranking = config.model.ranking
    first, width = ranking.hidden
    ranking.update(position="box", hidden=(first, width - 4))
    return config
