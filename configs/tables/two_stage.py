"""Table 2, two-stage, the second stage: ranking alone, all else stays as the first left it.

    --config.init_from=WORKDIR_OF_DETECTION

4,000 iterations at full size, as the original; the rate falls at the same shares of them.
"""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.optim.only = ("ranking",)
    if where.startswith("full"):
        config.optim.milestones = (3100, 3700)
        config.train.steps = 4000
    return config
