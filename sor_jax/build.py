"""From a config to the model, the objective and the predictor: the only reader of config.model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from absl import logging
from flax.core import FrozenDict

from sor_jax.detectors.centermask import CenterMaskObjective, CenterMaskPredictor
from sor_jax.detectors.mask_rcnn import MaskRcnnObjective, MaskRcnnPredictor
from sor_jax.detectors.objective import Objective
from sor_jax.detectors.predict import Predictor
from sor_jax.losses.ranking import RANK_LOSSES
from sor_jax.models.centermask import CenterMask
from sor_jax.models.efficientnet_lite import EFFICIENTNET_LITES, EfficientNetLite
from sor_jax.models.fcos import FcosHead
from sor_jax.models.fpn import FeaturePyramid
from sor_jax.models.mask_head import MaskHead, MaskIouHead
from sor_jax.models.mask_rcnn import MaskRcnn
from sor_jax.models.ranking import RankingHead
from sor_jax.models.rcnn_heads import BoxHead, RpnHead
from sor_jax.models.resnet import RESNETS, ResNet
from sor_jax.models.segmenter import Segmenter
from sor_jax.models.vovnet import VOVNETS, VoVNet
from sor_jax.structures import Boxes

DTYPES = ("float32", "bfloat16", "auto")
UNCLIPPED_EXTENT = 4.0  # image sizes that boxes reach where nothing clips them
DETECTORS = ("centermask", "mask_rcnn")


def build_model(config) -> Segmenter:
    """The network that config.model and config.train.dtype describe."""
    model = config.model
    dtype = compute_dtype(config.train.dtype)
    _one_of(model.detector, DETECTORS, "config.model.detector")
    shared = {
        "backbone": _build_backbone(config, dtype),
        "mask": MaskHead(**model.mask, dtype=dtype),
        "ranking": RankingHead(
            **model.ranking,
            num_ranks=model.num_ranks,
            mask_channel=config.reference.mask_channel,
            slipped_height=config.reference.slipped_height,
            dtype=dtype,
        ),
        "pixel_mean": tuple(model.pixel_mean),
        "pixel_std": tuple(model.pixel_std),
        "pixel_order": model.pixel_order,
        "box_extent": UNCLIPPED_EXTENT if config.reference.unclipped_boxes else 1.0,
        "dtype": dtype,
    }
    channels = model.pyramid.channels
    if model.detector == "mask_rcnn":
        return MaskRcnn(
            pyramid=FeaturePyramid(channels, top="subsample", dtype=dtype),
            rpn=RpnHead(**model.rpn, dtype=dtype),
            box=BoxHead(**model.box, dtype=dtype),
            **shared,
        )
    # Its third argument, the strides, is no array.
    fcos = nn.remat(FcosHead, static_argnums=(3,)) if config.train.remat else FcosHead
    return CenterMask(
        pyramid=FeaturePyramid(channels, dtype=dtype),
        fcos=fcos(**model.fcos, dtype=dtype),
        iou=MaskIouHead(**model.iou, dtype=dtype),
        **shared,
    )


def compute_dtype(name: str) -> jnp.dtype:
    """What config.train.dtype means here; "auto" is bfloat16 on accelerators, float32 on a CPU."""
    _one_of(name, DTYPES, "config.train.dtype")
    if name == "float32":
        return jnp.float32
    on_cpu = jax.default_backend() == "cpu"
    if name == "auto":
        return jnp.float32 if on_cpu else jnp.bfloat16
    if on_cpu:
        told = (
            "config.train.dtype is 'bfloat16': a CPU computes it at float32's rate at best and has "
            "to convert besides; 'auto' takes it on accelerators only"
        )
        logging.log_first_n(logging.WARNING, told, 1)
    return jnp.bfloat16


def _build_backbone(config, dtype) -> nn.Module:
    model = config.model
    bodies = (*VOVNETS, *EFFICIENTNET_LITES, *RESNETS)
    name = _one_of(model.backbone, bodies, "config.model.backbone")
    options = {"norm": model.norm, "remat": config.train.remat, "dtype": dtype}
    if name in VOVNETS:
        return VoVNet(VOVNETS[name], **options)
    if name in EFFICIENTNET_LITES:
        return EfficientNetLite(EFFICIENTNET_LITES[name], **options)
    # Stages are fixed as they were loaded, not as they happen to start.
    frozen_stages = model.frozen_stages if model.norm == "frozen_bn" else 0
    return ResNet(RESNETS[name], frozen_stages=frozen_stages, **options)


def init_variables(model: Segmenter, rng: jax.Array) -> dict:
    """Starting values {"params", "frozen"}; "frozen" is empty unless the norm is frozen_bn."""
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    boxes = Boxes(jnp.array([[[8.0, 8.0, 40.0, 40.0]]]), jnp.ones((1, 1), bool))
    variables = jax.jit(model.init)(rng, image, jnp.array([[64, 64]]), boxes)
    return {"params": variables["params"], "frozen": variables.get("frozen", {})}


def variable_shapes(config) -> dict:
    """The variables {"params", "frozen"} of a config's model as jax.ShapeDtypeStruct."""
    return jax.eval_shape(lambda: init_variables(build_model(config), jax.random.key(0)))


def build_objective(config, model: Segmenter) -> Objective:
    """The training objective of config.model, config.loss and config.reference."""
    shared = {
        "roi_slots": config.model.roi_slots,
        "weights": FrozenDict(config.loss.weights.to_dict()),
        "rank_loss": _one_of(config.loss.rank_loss, RANK_LOSSES, "config.loss.rank_loss"),
        "mask_gradient": config.reference.mask_gradient,
        "raw_mask": config.reference.raw_mask,
        "whole_pixels": config.reference.whole_pixels,
        "remat": config.train.remat,
    }
    if config.model.detector == "mask_rcnn":
        return MaskRcnnObjective(model, **shared, **config.model.rcnn.train)
    clip_boxes = not config.reference.unclipped_boxes
    return CenterMaskObjective(
        model, clip_boxes=clip_boxes, **shared, **config.model.proposals.train
    )


def build_predict(config, model: Segmenter) -> Predictor:
    """The predictor of config.model: predict(variables, batch)."""
    rule = rank_rule(config)
    if config.model.detector == "mask_rcnn":
        return MaskRcnnPredictor(model, rank_rule=rule, **config.model.rcnn.test)
    clip_boxes = not config.reference.unclipped_boxes
    return CenterMaskPredictor(
        model, rank_rule=rule, clip_boxes=clip_boxes, **config.model.proposals.test
    )


def rank_rule(config) -> str:
    """The name in decode.ranks.RANK_RULES of the rule that turns rank logits into ranks."""
    if not config.reference.rank_over_regions:
        return config.model.rank_rule
    return "reference_mask_rcnn" if config.model.detector == "mask_rcnn" else "reference"


def _one_of(value, choices, field):
    if value not in choices:
        raise ValueError(f"{field} is {value!r}; expected one of {', '.join(sorted(choices))}")
    return value
