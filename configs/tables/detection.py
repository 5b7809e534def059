"""Table 2, two-stage, the first stage: detection and masks, the rank loss weighs nothing."""

from configs.tables import setting


def get_config(where="full,assr"):
    config = setting.get_config(where)
    config.loss.rank_weight = 0.0
    config.eval.best_metric = "mask_ap"
    return config
