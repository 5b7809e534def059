"""What our model makes of the weights and the photograph that the golden numbers were made from.

Whole models take their time to compile: what several tests look at is kept.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.build import build_model, build_objective
from sor_jax.convert.families import ORIGINALS
from sor_jax.convert.fit import fit, variables_to_torch
from sor_jax.datasets.masks import to_parts
from sor_jax.datasets.record import Record
from sor_jax.distributed.sharding import make_mesh, put
from sor_jax.inputs.pad import pad_record
from sor_jax.models import centermask, mask_rcnn
from sor_jax.ops import anchors, grid
from sor_jax.structures import Boxes
from tests.parity import golden, recipe

HW = (480, 640)
IMAGE_HW = jnp.array([HW])


def build(model, *, dtype="float32", remat=False, **ranking):
    """Our network of the original's model, with other fields or slips of the ranking head."""
    config = golden.config(model)
    config.train.dtype, config.train.remat = dtype, remat
    for name, value in ranking.items():
        section = config.reference if name in config.reference else config.model.ranking
        section[name] = value
    return build_model(config)


def is_rcnn(model):
    """Whether the original's model is a Mask R-CNN, not a CenterMask."""
    return golden.config(model).model.detector == "mask_rcnn"


def family(model):
    """Whose names the original's arrays have."""
    return ORIGINALS[golden.config(model).model.detector]


def to_torch(model, params):
    """{the original's name: array in its layout} of parameters, or of their gradients."""
    return variables_to_torch({"params": params}, family=family(model))


def cells(model):
    """Points or anchors of the detector's pyramid."""
    if is_rcnn(model):
        return anchors.anchors(HW, mask_rcnn.STRIDES, mask_rcnn.ANCHOR_SIDES)
    return grid.points(HW, centermask.STRIDES)


def shapes(model):
    """{"params", "frozen"} of our network, without numbers."""
    boxes = Boxes(jnp.zeros((1, 1, 4)), jnp.ones((1, 1), bool))
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    hw = jnp.array([[64, 64]])
    shapes = jax.eval_shape(build(model).init, jax.random.key(0), image, hw, boxes)
    return {name: shapes[name] for name in ("params", "frozen")}


_variables = {}


def variables(model, seed):
    """The made-up checkpoint, brought in; the model before it goes, with its programs."""
    if (model, seed) not in _variables:
        _variables.clear()
        jax.clear_caches()
        _variables[model, seed] = _brought_in(model, seed)
    return _variables[model, seed]


def _brought_in(model, seed):
    arrays = golden.weights(model, seed)
    return jax.device_put(fit(arrays, family(model), shapes(model)).variables())


def batch(seed, objects=()):
    """The made-up photograph with objects of gt_objects.json, as the loader makes a batch."""
    parts = [to_parts(item["segmentation"]) for item in objects]
    shapes = [coco_mask.frPyObjects(item["segmentation"], *HW) for item in objects]
    record = Record(
        image_id=f"seed {seed}",
        image=recipe.make_image(seed)[..., ::-1],
        boxes=np.array([item["bbox"] for item in objects], np.float32).reshape(-1, 4),
        masks=[coco_mask.merge(each) for each in shapes],
        polygons=parts,
        rank_order=np.float32([(item["gt_rank"] + 6) / 10 for item in objects]),
        grey=np.zeros(HW, np.uint8),
    )
    sizes = {"canvas_hw": HW, "max_objects": max(len(parts), 1), "max_edges": 64}
    padded = pad_record(record, **sizes)
    assert padded["gt_valid"].sum() == len(parts)
    assert padded["gt_edge_valid"].any(axis=1).sum() == len(parts)
    rows = {name: array[None] for name, array in padded.items()}
    return jax.device_get(put(rows, make_mesh(jax.devices()[:1])))


@functools.partial(jax.jit, static_argnums=0)
def _dense(module, variables, image):
    def run(bound, image):
        x = bound.normalize(image, IMAGE_HW)
        stages = bound.backbone(x, IMAGE_HW)
        levels = bound.pyramid(stages[-len(bound.roi_levels) :], IMAGE_HW)
        return x, stages, levels, bound.detect(levels, IMAGE_HW)

    return module.apply(variables, image, method=run)


_kept = {}


def dense(model, seed, *, dtype="float32"):
    """(normalised input, stages, pyramid levels, raw detector outputs) of the photograph.

    Models that differ in their ranking head have all other weights in common.
    """
    key = golden.config(model).model.backbone, seed, dtype
    if key not in _kept:
        if len(_kept) > 1:
            _kept.clear()
        module = build(model, dtype=dtype)
        _kept[key] = _dense(module, variables(model, seed), batch(seed).image)
    return _kept[key]


def dense_outputs(model, seed, *, dtype="float32"):
    """{the original's name: array in its layout} for the backbone, the pyramid and the detector."""
    x, stages, levels, raw = dense(model, seed, dtype=dtype)
    out = {"input_normalized": nchw(x)}
    stage, first, of_level = ("res", 2, _rpn) if is_rcnn(model) else ("stage", 3, _fcos)
    names = ["backbone.stem", *(f"backbone.{stage}{i}" for i in range(2, 6))]
    out |= {name: nchw(stage) for name, stage in zip(names, stages, strict=True)}
    start = 0
    for i, level in enumerate(levels, start=first):
        out[f"fpn.p{i}"] = nchw(level)
        h, w = level.shape[1:3]
        maps = of_level(raw, start, h, w)
        out |= {f"{name}.p{i}": nchw(array) for name, array in maps.items()}
        start += h * w
    return {name: np.asarray(a, np.float32) for name, a in out.items()}


def _fcos(raw, start, h, w):
    part = slice(start, start + h * w)
    return {
        "fcos.logits": raw.class_logit[:, part].reshape(1, h, w, 1),
        "fcos.ctrness": raw.centerness_logit[:, part].reshape(1, h, w, 1),
        "fcos.reg": raw.ltrb[:, part].reshape(1, h, w, 4),
    }


def _rpn(raw, start, h, w):
    part = slice(3 * start, 3 * (start + h * w))
    return {
        "rpn.objectness_logits": raw.objectness_logit[:, part].reshape(1, h, w, 3),
        "rpn.anchor_deltas": raw.delta[:, part].reshape(1, h, w, 12),
    }


@functools.partial(jax.jit, static_argnums=0)
def _heads(module, variables, levels, xyxy):
    boxes = Boxes(xyxy[None], jnp.ones((1, len(xyxy)), bool))

    def run(bound, levels):
        pooled, _ = bound.pool(levels, boxes, IMAGE_HW)
        logit = bound.masks(pooled)
        prob = nn.sigmoid(logit)
        tokens = bound.tokens(pooled, prob, boxes, IMAGE_HW)
        return pooled, logit, bound.mask_iou(pooled, prob), bound.ranks(tokens, boxes)

    return module.apply(
        variables, levels, method=run, capture_intermediates=True, mutable="intermediates"
    )


def head_outputs(model, seed, xyxy, *, dtype="float32", **ranking):
    """{the original's name: array in its layout} for the heads on given boxes f32[R, 4]."""
    levels = dense(model, seed, dtype=dtype)[2]
    (pooled, logit, iou, rank_logit), state = _heads(
        build(model, dtype=dtype, **ranking), variables(model, seed), levels, jnp.asarray(xyxy)
    )
    inner = state["intermediates"]
    out = {
        "pooled": nchw(pooled[0]),
        "pos": nchw(pooled[0, ..., -2:]),
        "mask.logits": logit[0][:, None],
        "sor.mask_in": nn.sigmoid(logit[0][:, None]),
        "maskiou.pred": iou[0][:, None],
        "sor.logits": rank_logit[0],
        "softmax_dim0": nn.softmax(rank_logit[0], axis=0),
    }
    if "attended" in inner["mask"]:
        out["sam"] = nchw(inner["mask"]["attended"][0][0])
    ranking = inner["ranking"]
    convs = sorted(name for name in ranking if name.startswith("conv"))
    for name, layer in (("sor_fcn1", convs[0]), ("sor_fcn_last", convs[-1])):
        out[name] = nchw(nn.relu(ranking[layer]["__call__"][0][0]))
    out["sor_fc1"] = ranking["fc1"]["__call__"][0][0]
    out["sor.obj_features_prerelu"] = ranking["fc2"]["__call__"][0][0]
    if "position" in ranking:
        out["sor.pos_conv"] = nchw(ranking["position"][0][0])
    for name, layer in ranking.get("encoder", {}).items():
        if name.startswith("layer_"):
            out[f"sor.enc{name[-1]}"] = layer["__call__"][0][0][:, None]
    return {name: np.asarray(a, np.float32) for name, a in out.items()}


@functools.lru_cache(maxsize=1)
def own_proposals(model, seed):
    """(xyxy, score) of what our detector proposes in training."""
    return proposed(build_objective(golden.config(model), build(model)), model, seed)


def proposed(proposer, model, seed):
    """(xyxy, score) of what an objective's or a predictor's `propose` makes of the photograph."""
    at = cells(model)
    where = jnp.ones((1, len(at.level)), bool)
    found = jax.jit(lambda raw: proposer.propose(raw, at, where, IMAGE_HW))(dense(model, seed)[3])
    valid = np.asarray(found.boxes.valid[0])
    return np.asarray(found.boxes.xyxy[0])[valid], np.asarray(found.score[0])[valid]


@functools.partial(jax.jit, static_argnums=0)
def _boxes(module, variables, levels, xyxy):
    boxes = Boxes(xyxy[None], jnp.ones((1, len(xyxy)), bool))

    def run(bound, levels):
        features = bound.box_features(levels, boxes, IMAGE_HW)
        return features, bound.box(features)

    return module.apply(
        variables, levels, method=run, capture_intermediates=True, mutable="intermediates"
    )


def box_outputs(model, seed, xyxy):
    """{the original's name: array in its layout} for the box head on given boxes f32[R, 4]."""
    levels = dense(model, seed)[2]
    (features, raw), state = _boxes(build(model), variables(model, seed), levels, jnp.asarray(xyxy))
    hidden = state["intermediates"]["box"]["fc2"]["__call__"][0]
    return {
        "box.pooled": nchw(features[0]),
        "box.head": nn.relu(hidden[0]),
        "box.cls_logits": raw.class_logit[0],
        "box.deltas": raw.delta[0],
    }


def forget():
    """Drops the models and outputs that are kept."""
    _variables.clear()
    own_proposals.cache_clear()
    _kept.clear()


def match(expected, boxes):
    """For each expected box the index of ours; neighbours in score may have swapped places."""
    order = np.abs(expected[:, None] - boxes[None]).max(axis=-1).argmin(axis=1)
    assert len(set(order)) == len(expected)
    return order


def nchw(x):
    """Torch's layout of ours."""
    return jnp.moveaxis(jnp.asarray(x), -1, 1)
