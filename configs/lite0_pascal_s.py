"""A light CenterMask on EfficientNet-Lite0, from ImageNet weights, on PASCAL-S.

    make weights
    python train.py --config configs/lite0_pascal_s.py --workdir runs/lite0 \
        --config.data.root=PATH_TO_PASCAL_S --config.init_from=weights/efficientnet_lite0
    python -m experiments.photographs --config configs/lite0_pascal_s.py \
        --model lite0=runs/lite0 --data PASCAL-S=PATH_TO_PASCAL_S:test --out results/lite0

data/assr/README.md says what PASCAL-S is and how the folder must look. The 2400 steps took 62
minutes on two CPU cores that other jobs shared (1.1 to 1.4 s a step without them), in 4.5 GB.
Expect .86 SOR multi with 82 % of the objects matched on val, .69 (.56 to .80) with 75 % on test,
and an SA-SOR of .65 and .54. docs/results/lite0_pascal_s.md says what limits it.

From timm's VoVNet weights instead, untried for want of the files:

    python -m sor_jax.convert ese_vovnet39b.safetensors --config configs/lite0_pascal_s.py \
        --config.model.backbone=vovnet39 --out weights/vovnet39 \
        --allow-missing fcos,iou,mask,pyramid,ranking

and train with --config.model.backbone=vovnet39 --config.init_from=weights/vovnet39.
"""

from configs import base


def get_config():
    config = base.get_config()
    # Photographs of 480x640 become 240x320; the rest of the input is padding.
    config.data.update(canvas_hw=(256, 320), flip=True, max_edges=0)
    model = config.model
    model.backbone = "efficientnet_lite0"
    model.update(pixel_order="rgb", pixel_mean=(127.0,) * 3, pixel_std=(128.0,) * 3)
    model.pyramid.channels = 128
    model.fcos.update(channels=128, depth=2)
    model.mask.update(channels=128, depth=2)
    model.iou.update(channels=64, depth=2, hidden=128)
    model.ranking.update(channels=64, depth=2, hidden=(256, 256), layers=2, ffn=512)
    model.roi_slots = 32
    # These three were chosen on val, among thresholds of .2 to .5 and .3 to .6.
    model.proposals.test.update(class_threshold=0.2, nms_threshold=0.4)
    model.rank_rule = "expected"
    config.optim.update(name="adamw", learning_rate=4e-4, weight_decay=1e-2, clip_norm=10.0)
    config.optim.update(warmup_steps=100, milestones=(1600, 2160))
    config.train.update(steps=2400, batch_size=8, log_every=50, eval_every=300)
    config.train.checkpoint_every = 300
    config.eval.batch_size = 8
    return config
