"""A lighter CenterMask for scarce hardware: V-19-slim, pyramid and heads of 128, towers of two.

    python train.py --config configs/lite.py --workdir runs/lite --config.data.root=PATH_TO_ASSR

Trains from scratch with group norm at 192x256. experiments/overfit.py shows that nothing in its
chain is broken; no accuracy on unseen photographs is claimed for it.
"""

from configs import base


def get_config():
    config = base.get_config()
    config.data.update(canvas_hw=(192, 256), flip=True)
    model = config.model
    model.backbone, model.norm = "vovnet19_slim", "group"
    model.update(pixel_order="rgb", pixel_mean=(123.675, 116.28, 103.53))
    model.pixel_std = (58.395, 57.12, 57.375)
    model.pyramid.channels = 128
    model.fcos.update(channels=128, depth=2)
    model.mask.update(channels=128, depth=2)
    model.iou.update(channels=128, depth=2, hidden=256)
    model.ranking.update(channels=128, depth=2, hidden=(256, 256), layers=2, ffn=512)
    model.roi_slots = 16
    config.optim.update(name="adamw", learning_rate=1e-3, weight_decay=1e-4, clip_norm=10.0)
    config.optim.update(warmup_steps=100, milestones=(8000, 9500))
    config.train.update(steps=10_000, batch_size=8)
    return config
