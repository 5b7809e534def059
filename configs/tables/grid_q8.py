"""Table 5, learnable position: an embedding of the centre on an 8 x 8 grid."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.model.ranking.update(position="grid", center_grid=8)
    return config
