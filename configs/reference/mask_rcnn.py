"""Mask R-CNN with PPA exactly as the paper's released code computes it.

    --config configs/reference/mask_rcnn.py[:r50 | r101]

For checkpoints of that code, and for the golden numbers.
"""

from configs import mask_rcnn_r50, mask_rcnn_r101

ROWS = {"r50": mask_rcnn_r50.get_config, "r101": mask_rcnn_r101.get_config}


def get_config(name="r50"):
    if name not in ROWS:
        raise ValueError(f"no model {name!r} of the original; expected one of {', '.join(ROWS)}")
    config = ROWS[name]()
    config.model.ranking.activation = "relu"
    config.reference.update(mask_channel=True, raw_mask=True, mask_gradient=True)
    config.reference.rank_over_regions = True
    config.data.flip = True
    return config
