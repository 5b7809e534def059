"""The two sides of versus_torch: one step of our Mask R-CNN-50, and one of torchvision's."""

from typing import NamedTuple

_NMS = 0.99  # of boxes: with random weights, so that there are 100 detections


class Setting(NamedTuple):
    """What both sides are timed on.

    Attributes:
      is_training: a training step; else a prediction.
      batch_size: images of a step.
      hw: height and width of the photographs.
      dtype: of the layers, "float32" or "bfloat16".
      foreground: regions an image in training, at least.
    """

    is_training: bool
    batch_size: int
    hw: tuple[int, int]
    dtype: str
    foreground: int


def ours(setting: Setting, config):
    """The step of our model, a Mask R-CNN by its config, see torchvisions."""
    import jax

    from experiments.timer import Timer

    config = config.copy_and_resolve_references()
    config.data.canvas_hw = setting.hw
    config.train.dtype = setting.dtype
    config.model.rcnn.test.update(class_threshold=0.0, box_nms_threshold=_NMS)
    foreground = setting.foreground if setting.is_training else 0
    timer = Timer(config, batch_size=setting.batch_size, foreground=foreground)
    versions = f"jax {jax.__version__} on {jax.devices()[0].device_kind}"
    if not setting.is_training:
        predict, arguments, _ = timer.compiled_predict()

        def step():
            found = jax.device_get(predict(*arguments))
            return int(found.boxes.valid.sum()), versions

        return step
    compiled, *_ = timer.compiled_step()

    def step():
        timer.state, scalars = compiled(timer.state, timer.batch)
        jax.block_until_ready(timer.state)
        return float(scalars["rois/foreground"]), versions

    return step


def torchvisions(setting: Setting):
    """The step of torchvision's: channels last, frozen norms, the first two stages fixed.

    Returns:
      A function that takes a step and returns (regions of the batch, versions of what ran).
    """
    import torch
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    from experiments.made_up import jittered, made_up_batch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=3
    )
    model = MaskRCNN(backbone, num_classes=2, min_size=min(setting.hw), max_size=max(setting.hw))
    model.roi_heads.score_thresh, model.roi_heads.nms_thresh = 0.0, _NMS
    model = model.to(device, memory_format=torch.channels_last).train(setting.is_training)
    batch = made_up_batch(setting.batch_size, setting.hw, 5, 64)
    images = [torch.tensor(x).permute(2, 0, 1).to(device) / 255 for x in batch["image"]]
    targets, regions = _targets(batch, device), []
    model.roi_heads.mask_head.register_forward_hook(
        lambda module, inputs, output: regions.append(len(inputs[0]))
    )
    model.transform.postprocess = lambda found, *_: found  # pastes no masks
    copies = jittered(batch["gt_boxes"], batch["gt_valid"], setting.foreground)
    copies = torch.tensor(copies).to(device)

    def with_regions(module, inputs, output):
        proposals, losses = output
        for boxes, added in zip(proposals, copies, strict=True):
            boxes[-len(added) :] = added
        return proposals, losses

    autocast = torch.autocast(device, torch.bfloat16, enabled=setting.dtype == "bfloat16")
    versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    if setting.is_training:
        model.rpn.register_forward_hook(with_regions)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=1e-7, momentum=0.9, weight_decay=1e-4)

    def step():
        if setting.is_training:
            with autocast:
                loss = sum(model(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        else:
            with autocast, torch.inference_mode():
                model(images)
        if device == "cuda":
            torch.cuda.synchronize()
        return regions.pop(), versions

    return step


def _targets(batch: dict, device: str) -> list[dict]:
    """The objects of each image of a made-up batch as torchvision takes them."""
    import numpy as np
    import torch

    targets = []
    for image, valid in enumerate(batch["gt_valid"]):
        target = {name: batch[f"gt_{name}"][image][valid] for name in ("boxes", "masks")}
        target["labels"] = np.ones(valid.sum(), int)
        targets.append({name: torch.tensor(x).to(device) for name, x in target.items()})
    return targets
