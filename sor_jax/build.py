"""From a config to the model, the objective and the predictor: the only reader of config.model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from absl import logging

from sor_jax.models.centermask import CenterMask
from sor_jax.models.fcos import FcosHead
from sor_jax.models.fpn import FeaturePyramid
from sor_jax.models.mask_head import MaskHead, MaskIouHead
from sor_jax.models.ranking import RankingHead
from sor_jax.models.vovnet import VOVNETS, VoVNet
from sor_jax.objective import Objective
from sor_jax.predict import Predictor
from sor_jax.structures import Boxes

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_model(config) -> CenterMask:
    """The network that config.model and config.train.dtype describe."""
    model = config.model
    dtype = DTYPES[_one_of(config.train.dtype, DTYPES, "config.train.dtype")]
    _one_of(model.detector, ("centermask",), "config.model.detector")
    _one_of(model.backbone, VOVNETS, "config.model.backbone")
    spec = VOVNETS[model.backbone]
    remat = config.train.remat
    # Its third argument, the strides, is no array.
    fcos = nn.remat(FcosHead, static_argnums=(3,)) if remat else FcosHead
    return CenterMask(
        backbone=VoVNet(spec, norm=model.norm, remat=remat, dtype=dtype),
        pyramid=FeaturePyramid(model.pyramid.channels, dtype=dtype),
        fcos=fcos(**model.fcos, dtype=dtype),
        mask=MaskHead(**model.mask, dtype=dtype),
        iou=MaskIouHead(**model.iou, dtype=dtype),
        ranking=RankingHead(**model.ranking, dtype=dtype),
        pixel_mean=tuple(model.pixel_mean),
        pixel_std=tuple(model.pixel_std),
        pixel_order=model.pixel_order,
        box_extent=model.box_extent,
        dtype=dtype,
    )


def init_variables(model: CenterMask, config, rng) -> dict:
    """Starting values {"params", "frozen"}; "frozen" is empty unless the norm is frozen_bn."""
    if config.model.norm == "frozen_bn" and not config.init_from:
        logging.warning(
            "config.model.norm is 'frozen_bn' but config.init_from names no weights: frozen norms "
            "are then the identity and do not train well. Set --config.model.norm=group to train "
            "from scratch, or --config.init_from to a checkpoint."
        )
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    boxes = Boxes(jnp.array([[[8.0, 8.0, 40.0, 40.0]]]), jnp.ones((1, 1), bool))
    variables = jax.jit(model.init)(rng, image, jnp.array([[64, 64]]), boxes)
    return {"params": variables["params"], "frozen": variables.get("frozen", {})}


def build_objective(config, model: CenterMask) -> Objective:
    """The training objective of config.model, config.proposals and config.loss."""
    return Objective(
        model,
        roi_slots=config.model.roi_slots,
        rank_weight=config.loss.rank_weight,
        clip_boxes=config.model.clip_boxes,
        mask_gradient=config.loss.mask_gradient,
        whole_pixels=config.loss.whole_pixels,
        remat=config.train.remat,
        **config.model.proposals.train,
    )


def build_predict(config, model: CenterMask) -> Predictor:
    """The predictor of config.model and config.proposals: predict(variables, batch)."""
    return Predictor(
        model,
        rank_rule=config.model.rank_rule,
        clip_boxes=config.model.clip_boxes,
        **config.model.proposals.test,
    )


def _one_of(value, choices, field):
    if value not in choices:
        raise ValueError(f"{field} is {value!r}; expected one of {', '.join(sorted(choices))}")
    return value
