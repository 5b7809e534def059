"""CenterMask with PPA exactly as the paper's released code computes it.

    --config configs/reference/centermask.py[:vov39 | vov57 | baseline | only_pos | pos_quant |
        pos_quant2 | xywh]

For checkpoints of that code, and for the golden numbers. vov39 and vov57 are its models, the others
its ablations on V-39, by the names that it gives them.
"""

from configs import centermask_vov39, centermask_vov57


def get_config(name="vov39"):
    if name not in ROWS:
        raise ValueError(f"no model {name!r} of the original; expected one of {', '.join(ROWS)}")
    config = (centermask_vov57 if name == "vov57" else centermask_vov39).get_config()
    config.model.ranking.activation = "relu"
    config.reference.update(mask_channel=True, mask_gradient=True, whole_pixels=True)
    config.reference.update(unclipped_boxes=True, rank_over_regions=True)
    config.data.flip = True
    ROWS[name](config)
    return config


def _baseline(config):
    """Neither position nor attention, and a narrower head."""
    config.model.ranking.update(position="none", interaction=False)
    config.model.ranking.update(channels=128, depth=2, hidden=(512, 256))
    config.optim.learning_rate = 1e-2


def _only_pos(config):
    """Position maps, no attention between the objects."""
    config.model.ranking.interaction = False


def _pos_quant(config):
    """A learnt embedding of the centre on a 4 x 4 grid."""
    config.model.ranking.update(position="grid", center_grid=4)


def _pos_quant2(config):
    """A learnt embedding of the centre on an 8 x 8 grid."""
    config.model.ranking.update(position="grid", center_grid=8)


def _xywh(config):
    """(Cx, Cy, w, h) beside the token, with its slip in h."""
    config.model.ranking.update(position="box", hidden=(1024, 1020))
    config.reference.slipped_height = True


ROWS = {
    "vov39": lambda config: None,
    "vov57": lambda config: None,
    "baseline": _baseline,
    "only_pos": _only_pos,
    "pos_quant": _pos_quant,
    "pos_quant2": _pos_quant2,
    "xywh": _xywh,
}
