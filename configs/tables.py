"""The rows of the paper's tables that are trained, each with its differences alone.

    --config configs/tables.py:ROW[,SCALE,DATA]

ROW is one of ROWS; SCALE,DATA is where it is measured, one of SETTINGS: "full,assr" where none is
named (the paper's own), "lite,assr" (any folder in ASSR layout), "lite0,assr" (the same, from
ImageNet weights) or "lite,scenes". docs/tables.md has the commands for whole tables.
"""

from configs import centermask_vov39, demo, lite, lite0_pascal_s


def get_config(row="ppa,full,assr"):
    name, _, where = row.partition(",")
    where = where or "full,assr"
    if name not in ROWS:
        raise ValueError(f"no row {name!r}; expected one of {', '.join(ROWS)}")
    if where not in SETTINGS:
        raise ValueError(f"no setting {where!r}; expected one of {', '.join(SETTINGS)}")
    config = SETTINGS[where]()
    ROWS[name](config)
    if name == "two_stage" and where.startswith("full"):
        # The original's; at other sizes the whole training's length stays.
        config.optim.milestones = (3100, 3700)
        config.train.steps = 4000
    return config


def _ppa(config):
    """The paper's model: Ours, end-to-end, CenterMask-39, both and PPA of Tables 1 to 5."""


def _baseline(config):
    """Table 4: the same branch without position and without attention."""
    config.model.ranking.update(position="none", interaction=False)


def _position(config):
    """Table 4: coordinate maps, no attention between the objects."""
    config.model.ranking.interaction = False


def _attention(config):
    """Table 4: the objects see each other, none knows its place."""
    config.model.ranking.position = "none"


def _center(config):
    """Table 5, (Cx, Cy): the centre beside the token, whose width stays with it."""
    first, width = config.model.ranking.hidden
    config.model.ranking.update(position="center", hidden=(first, width - 2))


def _box(config):
    """Table 5, (Cx, Cy, w, h): centre and size beside the token, whose width stays with them."""
    first, width = config.model.ranking.hidden
    config.model.ranking.update(position="box", hidden=(first, width - 4))


def _grid_q4(config):
    """Table 5, learnable position: an embedding of the centre on a 4 x 4 grid."""
    config.model.ranking.update(position="grid", center_grid=4)


def _grid_q8(config):
    """Table 5, learnable position: an embedding of the centre on an 8 x 8 grid."""
    config.model.ranking.update(position="grid", center_grid=8)


def _grid_scale(config):
    """Table 5, learnable position and scale: grids of 8 x 8 centres and of 4 x 4 sizes."""
    config.model.ranking.update(position="grid_scale", center_grid=8, scale_grid=4)


def _detection(config):
    """Table 2, two-stage, the first stage: detection and masks, the rank loss weighs nothing."""
    config.loss.weights.rank = 0.0
    config.eval.best_metric = "mask_ap"


def _two_stage(config):
    """Table 2, two-stage, the second stage: ranking alone, all else as the first left it.

    Takes --config.init_from=WORKDIR_OF_DETECTION.
    """
    config.optim.trainable = ("ranking",)


ROWS = {
    "ppa": _ppa,
    "baseline": _baseline,
    "position": _position,
    "attention": _attention,
    "center": _center,
    "box": _box,
    "grid_q4": _grid_q4,
    "grid_q8": _grid_q8,
    "grid_scale": _grid_scale,
    "detection": _detection,
    "two_stage": _two_stage,
}


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
