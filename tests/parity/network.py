"""What our model makes of the weights and the photograph that the golden numbers were made from.

V-39 takes its time to compile: what several tests look at is kept.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from pycocotools import mask as coco_mask

from sor_jax.build import build_model, build_objective
from sor_jax.convert.torch import variables_from_torch
from sor_jax.inputs.pad import pad_record
from sor_jax.inputs.record import Record, to_parts
from sor_jax.models.centermask import STRIDES
from sor_jax.objective import Objective
from sor_jax.ops import grid
from sor_jax.structures import Boxes, Proposals
from sor_jax.train.sharding import make_mesh, put
from tests.parity import golden, recipe

HW = (480, 640)
IMAGE_HW = jnp.array([HW])


def build(model, *, dtype="float32", **ranking):
    """Our network of the original's model, with other fields of the ranking head."""
    config = golden.config(model)
    config.train.dtype = dtype
    config.model.ranking.update(ranking)
    return build_model(config)


def shapes(model):
    """{"params", "frozen"} of our network, without numbers."""
    boxes = Boxes(jnp.zeros((1, 1, 4)), jnp.ones((1, 1), bool))
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    hw = jnp.array([[64, 64]])
    shapes = jax.eval_shape(build(model).init, jax.random.key(0), image, hw, boxes)
    return {name: shapes[name] for name in ("params", "frozen")}


@functools.lru_cache(maxsize=1)
def variables(model, seed):
    """The made-up checkpoint, brought in."""
    return jax.device_put(variables_from_torch(golden.weights(model, seed), shapes(model)))


def batch(seed, objects=()):
    """The made-up photograph with objects of gt_objects.json, as the loader makes a batch."""
    parts = [to_parts(item["segmentation"]) for item in objects]
    empty = coco_mask.encode(np.zeros(HW, np.uint8, order="F"))  # polygons make it superfluous
    record = Record(
        image_id=f"seed {seed}",
        image=recipe.make_image(seed)[..., ::-1],
        boxes=np.array([item["bbox"] for item in objects], np.float32).reshape(-1, 4),
        masks=[empty] * len(parts),
        polygons=parts,
        rank_order=np.float32([(item["gt_rank"] + 6) / 10 for item in objects]),
        grey=np.zeros(HW, np.uint8),
    )
    sizes = {"image_hw": HW, "max_objects": max(len(parts), 1), "max_edges": 64}
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
        levels = bound.pyramid(stages[-3:], IMAGE_HW)
        return x, stages, levels, bound.detect(levels, IMAGE_HW)

    return module.apply(variables, image, method=run)


_kept = {}


def dense(model, seed, *, dtype="float32"):
    """(normalised input, stages, pyramid levels, DenseOutputs) of the photograph.

    Models that differ in their ranking head have all other weights in common.
    """
    key = golden.config(model).model.backbone, seed, dtype
    if key not in _kept:
        _kept.clear()
        module = build(model, dtype=dtype)
        _kept[key] = _dense(module, variables(model, seed), batch(seed).image)
    return _kept[key]


def dense_outputs(model, seed, *, dtype="float32"):
    """{the original's name: array in its layout} for the backbone, the pyramid and FCOS."""
    x, stages, levels, raw = dense(model, seed, dtype=dtype)
    out = {"input_normalized": nchw(x)}
    names = ["backbone.stem", *(f"backbone.stage{i}" for i in range(2, 6))]
    out |= {name: nchw(stage) for name, stage in zip(names, stages, strict=True)}
    start = 0
    for i, level in enumerate(levels, start=3):
        out[f"fpn.p{i}"] = nchw(level)
        h, w = level.shape[1:3]
        end = start + h * w
        out[f"fcos.logits.p{i}"] = raw.class_logit[:, start:end].reshape(1, 1, h, w)
        out[f"fcos.ctrness.p{i}"] = raw.centerness_logit[:, start:end].reshape(1, 1, h, w)
        out[f"fcos.reg.p{i}"] = nchw(raw.ltrb[:, start:end].reshape(1, h, w, 4))
        start = end
    return {name: np.asarray(a, np.float32) for name, a in out.items()}


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
        "sam": nchw(inner["mask"]["attended"][0][0]),
        "maskiou.pred": iou[0][:, None],
        "sor.logits": rank_logit[0],
        "softmax_dim0": nn.softmax(rank_logit[0], axis=0),
    }
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


@dataclasses.dataclass(frozen=True)
class GivenProposals(Objective):
    """The objective on proposals that are not the detector's."""

    given: Proposals | None = None

    def propose(self, *args):
        return self.given


@functools.partial(jax.jit, static_argnums=0)
def _gradients(objective, variables, batch, proposals):
    objective = dataclasses.replace(objective, given=proposals)

    def total(params):
        return objective(params, variables["frozen"], batch, jax.random.key(0))

    (_, scalars), gradients = jax.value_and_grad(total, has_aux=True)(variables["params"])
    return scalars, gradients


def objective(model, **changes):
    """The objective without dropout, to be given its proposals."""
    plain = build_objective(golden.config(model), build(model, dropout=0.0))
    fields = {field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)}
    return GivenProposals(**fields | changes)


def gradients(model, variables, batch, xyxy):
    """(the losses by our names, gradients) of one image on the proposals xyxy f32[N, 4]."""
    aim = objective(model)
    xyxy = np.asarray(xyxy)
    padded = np.zeros((1, aim.max_proposals, 4), np.float32)
    padded[0, : len(xyxy)] = xyxy
    valid = np.arange(aim.max_proposals)[None] < len(xyxy)
    proposals = Proposals(Boxes(padded, valid), np.ones(padded.shape[:2], np.float32))
    scalars, grads = _gradients(aim, variables, batch, proposals)
    assert scalars["rois/left_out"] == scalars["rois/undersampled"] == 0
    return {name: float(scalars[f"loss/{name}"]) for name in golden.LOSSES.values()}, grads


@functools.lru_cache(maxsize=1)
def own_proposals(model, seed):
    """(xyxy, score) of what our detector proposes in training."""
    points = grid.points(HW, STRIDES)
    raw = dense(model, seed)[3]
    aim = build_objective(golden.config(model), build(model))
    where = jnp.ones((1, len(points.xy)), bool)
    found = jax.jit(lambda raw: aim.propose(raw, points, where, IMAGE_HW))(raw)
    valid = np.asarray(found.boxes.valid[0])
    return np.asarray(found.boxes.xyxy[0])[valid], np.asarray(found.score[0])[valid]


def match(expected, boxes):
    """For each expected box the index of ours; neighbours in score may have swapped places."""
    order = np.abs(expected[:, None] - boxes[None]).max(axis=-1).argmin(axis=1)
    assert len(set(order)) == len(expected)
    return order


def nchw(x):
    """Torch's layout of ours."""
    return jnp.moveaxis(jnp.asarray(x), -1, 1)
