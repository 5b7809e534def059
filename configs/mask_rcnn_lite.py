"""A lighter Mask R-CNN for scarce hardware: R-50 of half the width, pyramid and heads of 128.

    python train.py --config configs/mask_rcnn_lite.py --workdir runs/lite \
        --config.data.root=PATH_TO_ASSR

Trains from scratch with group norm at 192x256. experiments/overfit.py shows that nothing in its
chain is broken; no accuracy on unseen photographs is claimed for it.
"""

from configs import lite


def get_config():
    config = lite.get_config()
    model = config.model
    model.update(detector="mask_rcnn", backbone="resnet50_slim", roi_slots=32)
    model.rpn.channels = 128
    model.box.hidden = 256
    model.mask.spatial_attention = False
    model.rcnn.train.update(pre_nms_top=500, max_proposals=250, sampled_rois=128)
    model.rcnn.test.update(pre_nms_top=500, max_proposals=250)
    return config
