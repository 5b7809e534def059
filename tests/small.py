"""A network of a few thousand parameters and made-up batches, for tests of whole maps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from configs import demo
from sor_jax import build
from sor_jax.models.resnet import RESNETS, ResNetSpec
from sor_jax.models.vovnet import VOVNETS, VoVNetSpec
from sor_jax.structures import Batch, Boxes, GroundTruth, Polygons

RESNETS["tiny_resnet"] = ResNetSpec((1,) * 4, width=8)
VOVNETS["tiny"] = VoVNetSpec((8,) * 4, (16,) * 4, layers=1, blocks=(1,) * 4, stem=(8, 8, 8))


def small_config():
    """The demo's config, smaller."""
    config = demo.get_config()
    config.model.backbone = "tiny"
    config.model.pyramid.channels = 16
    config.model.fcos.update(channels=16, depth=1)
    config.model.mask.update(channels=16, depth=1)
    config.model.iou.update(channels=16, depth=1, hidden=16)
    config.model.ranking.update(channels=16, depth=1, hidden=(16, 16), layers=1, ffn=16)
    config.model.roi_slots = 8
    config.model.proposals.test.max_detections = 8
    config.model.proposals.train.max_proposals = 16
    return config


_CONFIG_FILE = """
from tests.small import {base}

def get_config():
    config = {base}()
    config.data.update(canvas_hw=(64, 64), num_workers=1, cache_dir={cache!r})
    config.data.num_scenes.update(train=12, val={images}, test={images})
    config.train.update(log_every=1, checkpoint_every=0, **{train!r})
    config.eval.update(max_images={images}, batch_size=2, best_metric="mae")
    return config
"""


def write_config(file, *, images, base="small_config", **train):
    """A config's file for the scripts: drawn scenes, so many evaluated, config.train's fields."""
    cache = str(file.parent / "cache")
    file.write_text(_CONFIG_FILE.format(base=base, cache=cache, images=images, train=train))
    return file


@functools.lru_cache
def small_network(mask_channel=False, num_ranks=5, **ranking):
    """(config, model, variables) whose detector finds something before any training."""
    config = small_config()
    config.model.ranking.update(ranking)
    config.model.num_ranks = num_ranks
    config.reference.mask_channel = mask_channel
    model = build.build_model(config)
    variables = build.init_variables(model, jax.random.key(0))
    # Raise the prior so that there are detections, and spread what the last layers say.
    rng = np.random.default_rng(0)

    def spread(path, x):
        name = "/".join(str(key.key) for key in path)
        if name.endswith(("class_logit/kernel", "rank/kernel", "iou/kernel", "predictor/kernel")):
            return jnp.asarray(rng.normal(0, 0.5, x.shape), jnp.float32)
        if name.endswith("fcos/box/bias"):
            return x + 2.0
        return x + 4.0 if name.endswith("class_logit/bias") else x

    return config, model, jax.tree_util.tree_map_with_path(spread, variables)


def small_rcnn_config():
    """The same with Mask R-CNN for a detector."""
    config = small_config()
    model = config.model
    model.update(detector="mask_rcnn", backbone="tiny_resnet")
    model.rpn.channels, model.box.hidden = 16, 16
    model.mask.spatial_attention = False
    model.rcnn.train.update(pre_nms_top=200, max_proposals=40)
    model.rcnn.train.update(sampled_anchors=64, sampled_rois=24)
    model.rcnn.test.update(pre_nms_top=200, max_proposals=40, max_detections=8)
    model.rcnn.test.class_threshold = 0.01
    return config


@functools.lru_cache
def small_rcnn():
    """(config, model, variables) of a Mask R-CNN whose answers differ before any training."""
    config = small_rcnn_config()
    config.model.ranking.dropout = 0.0
    model = build.build_model(config)
    variables = build.init_variables(model, jax.random.key(0))
    rng = np.random.default_rng(0)
    last = ("objectness", "rpn/delta", "class_logit", "box/delta", "rank/rank", "predictor")

    def spread(path, x):
        name = "/".join(str(key.key) for key in path)
        if not name.endswith(tuple(f"{layer}/kernel" for layer in last)):
            return x
        scale = 0.1 if "delta" in name else 0.5
        return jnp.asarray(rng.normal(0, scale, x.shape), jnp.float32)

    return config, model, jax.tree_util.tree_map_with_path(spread, variables)


def without_objects(batch):
    """The same photographs, all ground truth padding."""
    boxes = batch.gt.boxes.replace(valid=jnp.zeros_like(batch.gt.boxes.valid))
    return batch.replace(gt=batch.gt.replace(boxes=boxes))


def made_up_batch(seed=0, *, photo_hw=(64, 96), canvas_hw=(64, 96), images=2, objects=3, slots=4):
    """Noise with a brighter rectangle for each object; padding of other values than 0.

    The first object of an image has a polygon, the others are known by their bitmaps.
    """
    rng = np.random.default_rng(seed)
    h, w = photo_hw
    image = np.full((images, *canvas_hw, 3), 77, np.uint8)
    image[:, :h, :w] = rng.integers(0, 120, (images, h, w, 3))
    xyxy = np.zeros((images, slots, 4), np.float32)
    edges = np.zeros((images, slots, 6, 4), np.float32)
    masks = np.zeros((images, slots, *canvas_hw), np.uint8)
    for b in range(images):
        for m in range(objects):
            x0, y0 = rng.integers(0, w - 32), rng.integers(0, h - 24)
            x1, y1 = x0 + rng.integers(12, 32), y0 + rng.integers(12, 24)
            xyxy[b, m] = x0, y0, x1, y1
            corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            edges[b, m, :4] = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
            masks[b, m, y0:y1, x0:x1] = 1
            image[b, y0:y1, x0:x1] += np.uint8(100)
    valid = np.broadcast_to(np.arange(slots) < objects, (images, slots))
    rank_class = np.broadcast_to(4 - np.arange(slots), (images, slots)).astype(np.int32)
    has_edge = np.zeros(edges.shape[:3], bool)
    has_edge[:, :1, :4] = objects > 0
    polygons = Polygons(edges, np.zeros(edges.shape[:3], np.int32), has_edge)
    gt = GroundTruth(Boxes(xyxy, valid), rank_class, masks, polygons)
    hw = jnp.broadcast_to(jnp.asarray(photo_hw, jnp.int32), (images, 2))
    batch = Batch(jnp.asarray(image), hw, jnp.ones(images, bool), gt)
    return jax.tree.map(jnp.asarray, batch)
