"""Where golden numbers are, what they are called, and what our model makes of the same input."""

import functools
import importlib
import json
import os
import pathlib
import re
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sor_jax import build
from sor_jax.convert.torch import variables_from_torch
from sor_jax.structures import Batch, Boxes, GroundTruth
from tests.parity import recipe

SLICE = pathlib.Path(__file__).parents[1] / "data" / "goldens"
IMAGE_HW = jnp.array([[480, 640]])
# The original's name of a model -> our config of it.
CONFIGS = {
    "centermask_vov39_ppa": "centermask_vov39",
    "centermask_vov57_ppa": "centermask_vov57",
    **{name: name for name in ("pos_quant", "pos_quant2", "xywh", "only_pos", "baseline")},
}


class Golden(NamedTuple):
    """One file of golden numbers; large arrays are kept as samples of their elements."""

    file: pathlib.Path
    model: str
    seed: int

    def arrays(self):
        return _load(self.file)

    def max_error(self, name, array):
        """The largest absolute difference; checks the shape."""
        stored, array = self.arrays(), np.asarray(array)
        assert array.shape == tuple(stored[f"{name}__shape"]), name
        if name in stored:
            return float(np.abs(stored[name] - array).max(initial=0.0))
        flat = array.reshape(-1)[stored[f"{name}__idx"]]
        return float(np.abs(stored[f"{name}__val"] - flat).max(initial=0.0))

    def sibling(self, part):
        """The file of another part of the same model and seed."""
        return self._replace(file=self.file.with_name(f"{self.model}_seed{self.seed}_{part}.npz"))


@functools.lru_cache(maxsize=4)
def _load(file):
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def cases(part):
    """pytest parameters: every file of the kind in the committed slice and in SOR_GOLDENS."""
    folders = [SLICE] + [pathlib.Path(f) for f in [os.environ.get("SOR_GOLDENS")] if f]
    params = []
    for folder in folders:
        for file in sorted(folder.glob(f"*_seed*_{part}.npz")):
            model, seed = re.fullmatch(rf"(.+)_seed(\d+)_{part}", file.stem).groups()
            skip = pytest.mark.skip(reason=f"there is no config of {model} in configs/reference")
            params.append(
                pytest.param(
                    Golden(file, model, int(seed)),
                    id=f"{model}-{seed}{'-slice' if folder == SLICE else ''}",
                    marks=[] if model in CONFIGS else [skip],
                )
            )
    if not os.environ.get("SOR_GOLDENS"):
        reason = "SOR_GOLDENS is unset: it names the folder of golden numbers; the slice was used"
        params.append(pytest.param(None, id="all", marks=pytest.mark.skip(reason=reason)))
    return params


def manifest(model):
    """[[name, shape, dtype], ...] of the original's checkpoint."""
    beside = pathlib.Path(os.environ.get("SOR_GOLDENS") or SLICE).parent
    files = [folder / f"manifest_{model}.json" for folder in (beside, SLICE)]
    return recipe.read_manifest(next(file for file in files if file.exists()))


def config(model):
    """Our config of the original's model."""
    return importlib.import_module(f"configs.reference.{CONFIGS[model]}").get_config()


@functools.lru_cache(maxsize=1)
def weights(model, seed):
    """The made-up checkpoint, checked against the recorded checksum where there is one."""
    made = recipe.make_weights(manifest(model), seed)
    for folder in filter(None, (SLICE, os.environ.get("SOR_GOLDENS"))):
        meta = pathlib.Path(folder) / f"{model}_seed{seed}_meta.json"
        if meta.exists():
            assert recipe.checksum(made) == json.loads(meta.read_text())["weights_crc32"]
    return made


@functools.lru_cache(maxsize=1)
def network(model, seed):
    """Our model with the made-up checkpoint brought in."""
    module = build.build_model(config(model))
    boxes = Boxes(jnp.zeros((1, 1, 4)), jnp.ones((1, 1), bool))
    image = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    expected = jax.eval_shape(module.init, jax.random.key(0), image, jnp.array([[64, 64]]), boxes)
    expected = {name: expected[name] for name in ("params", "frozen")}
    return module, jax.device_put(variables_from_torch(weights(model, seed), expected))


def batch(seed, gt=None):
    """The made-up photograph as a batch of one."""
    image = jnp.asarray(recipe.make_image(seed)[None, ..., ::-1].copy())
    empty = GroundTruth(
        Boxes(jnp.zeros((1, 1, 4)), jnp.zeros((1, 1), bool)),
        jnp.zeros((1, 1), jnp.int32),
        jnp.zeros((1, 1, 1, 1), jnp.uint8),
    )
    return Batch(image, IMAGE_HW, empty if gt is None else gt, jnp.ones(1, bool))


@functools.lru_cache(maxsize=1)
def dense_outputs(model, seed):
    """{the original's name: array in its layout} for the backbone, the pyramid and FCOS."""
    module, variables = network(model, seed)

    @jax.jit
    def run(variables, image):
        bound = module.bind(variables)
        x = bound.normalize(image, IMAGE_HW)
        stages = bound.backbone(x, IMAGE_HW)
        levels = bound.pyramid(stages[-3:], IMAGE_HW)
        return x, stages, levels, bound.detect(levels, IMAGE_HW)

    x, stages, levels, dense = run(variables, batch(seed).image)
    out = {"input_normalized": nchw(x)}
    names = ["backbone.stem", *(f"backbone.stage{i}" for i in range(2, 6))]
    out |= {name: nchw(stage) for name, stage in zip(names, stages, strict=True)}
    start = 0
    for i, level in enumerate(levels):
        out[f"fpn.p{i + 3}"] = nchw(level)
        h, w = level.shape[1:3]
        end = start + h * w
        out[f"fcos.logits.p{i + 3}"] = dense.class_logit[:, start:end].reshape(1, 1, h, w)
        out[f"fcos.ctrness.p{i + 3}"] = dense.centerness_logit[:, start:end].reshape(1, 1, h, w)
        out[f"fcos.reg.p{i + 3}"] = nchw(dense.ltrb[:, start:end].reshape(1, h, w, 4))
        start = end
    return {name: np.asarray(a) for name, a in out.items()}, levels


def head_outputs(model, seed, xyxy):
    """{the original's name: array in its layout} for the heads on given boxes f32[R, 4]."""
    module, variables = network(model, seed)
    _, levels = dense_outputs(model, seed)
    boxes = Boxes(jnp.asarray(xyxy)[None], jnp.ones((1, len(xyxy)), bool))

    def heads(bound, levels):
        pooled, _ = bound.pool(levels, boxes, IMAGE_HW)
        logit = bound.masks(pooled)
        prob = nn.sigmoid(logit)
        iou = bound.mask_iou(pooled, prob)
        tokens = bound.tokens(pooled, prob, boxes, IMAGE_HW)
        return pooled, logit, iou, bound.ranks(tokens, boxes)

    @jax.jit
    def run(variables, levels):
        return module.apply(
            variables, levels, method=heads, capture_intermediates=True, mutable="intermediates"
        )

    (pooled, logit, iou, rank_logit), state = run(variables, levels)
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
    return {name: np.asarray(a) for name, a in out.items()}


def nchw(x):
    return jnp.moveaxis(jnp.asarray(x), -1, 1)
