"""Table 5, learnable position and scale: grids of 8 x 8 centres and of 4 x 4 sizes."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.model.ranking.update(position="grid_scale", center_grid=8, scale_grid=4)
    return config
