"""Where a row of a table is measured: how large the model is, and on which data set.

--config configs/tables/ROW.py:SCALE,DATA      (ROW.py alone is full,assr: the paper's own)
"""

from configs import centermask_vov39, demo, lite, lite0_pascal_s


def get_config(where: str = "full,assr"):
    """The model with all of the paper's ideas, of which a row lists its differences.

    Args:
      where: "full,assr", "lite,assr" (any folder in ASSR layout), "lite0,assr" (the same, from
        ImageNet weights) or "lite,scenes".
    """
    if where not in SETTINGS:
        raise ValueError(f"no setting {where!r}; expected one of {', '.join(SETTINGS)}")
    return SETTINGS[where]()


def _lite_scenes():
    config = demo.get_config()
    config.data.num_scenes.test = 1200
    # As the paper, unlike the demo.
    config.model.rank_rule, config.model.proposals.test.nms_threshold = "sequential", 0.6
    return config


SETTINGS = {
    "full,assr": centermask_vov39.get_config,
    "lite,assr": lite.get_config,
    "lite0,assr": lite0_pascal_s.get_config,
    "lite,scenes": _lite_scenes,
}
