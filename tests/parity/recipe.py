"""The made-up weights and image that the golden numbers were computed on, from their seeds."""

import json
import zlib

import numpy as np

INPUT_STD = 57.0  # the original does not divide by a standard deviation; the first layer does
# The first ending that matches the name gives the gain; kernels have std gain * sqrt(2 / fan_in).
GAINS = [
    ("stem.stem_1/conv.weight", 1 / INPUT_STD),
    ("bottom_up.stem.conv1.weight", 1 / INPUT_STD),
    ("_concat/conv.weight", 1.4),
    ("top_block.p6.weight", 0.5**0.5),
    ("fcos_head.cls_logits.weight", 3.0),
    ("fcos_head.bbox_pred.weight", 1.5),
    ("fcos_head.ctrness.weight", 1.5),
    ("rpn_head.anchor_deltas.weight", 0.2),
    ("box_predictor.bbox_pred.weight", 0.3),
    ("box_predictor.cls_score.weight", 0.7),
    ("maskiou_head.maskiou.weight", 0.15),
    ("spatialAtt.conv.weight", 0.15),
    ("self_attn.out_proj.weight", 0.3),
    ("linear2.weight", 0.5),
    ("sor_head.sor.weight", 6.0),
]
OFFSETS = {
    "fcos_head.cls_logits.bias": -3.3,
    "fcos_head.bbox_pred.bias": 3.0,
    "fcos_head.ctrness.bias": 1.0,
    "maskiou_head.maskiou.bias": 0.6,
    "box_predictor.cls_score.bias": np.array([-6.5, 0.0]),
}
LAST_NORM = 0.2  # of a ResNet's block: keeps the sum with the shortcut from growing


def generator(*key):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(key))))


def make_weights(manifest, seed):
    """{name: array} of a manifest [[name, shape, dtype], ...], one stream a tensor."""
    rank_of = {name: len(shape) for name, shape, _ in manifest}
    return {n: _array(n, tuple(s), rank_of, seed).astype(d) for n, s, d in manifest}


def _array(name, shape, rank_of, seed):
    rng = generator(seed, zlib.crc32(name.encode()))
    parent, _, leaf = name.rpartition(".")
    if leaf == "scale":
        return 1.0 + 0.05 * rng.standard_normal(shape)
    if leaf == "pos_embedding":
        return rng.random(shape)
    if leaf == "running_mean":
        return 0.05 * rng.standard_normal(shape)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        gain = LAST_NORM if ".conv3.norm.weight" in name else 1.0
        return gain * (0.8 + 0.4 * rng.random(shape))
    if leaf == "bias" and rank_of.get(f"{parent}.weight") == 1:
        return 0.05 * rng.standard_normal(shape)
    if len(shape) >= 2:
        fan_in = shape[0] if name.endswith("deconv.weight") else int(np.prod(shape[1:]))
        return rng.standard_normal(shape) * (_gain(name) * np.sqrt(2.0 / fan_in))
    offset = next((v for end, v in OFFSETS.items() if name.endswith(end)), 0.0)
    return 0.02 * rng.standard_normal(shape) + offset


def _gain(name):
    if "fpn_lateral" in name or "fpn_output" in name:
        return 0.7071067811865476
    if "sor_head" not in name and name.endswith("linear2.weight"):
        return 1.0
    return next((gain for end, gain in GAINS if end in name), 1.0)


def checksum(weights):
    """crc32 over names and bytes in the order of the names, eight hex digits."""
    crc = 0
    for name in sorted(weights):
        data = np.ascontiguousarray(weights[name]).tobytes()
        crc = zlib.crc32(data, zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"


def make_image(seed, height=480, width=640):
    """u8[height, width, 3], BGR: waves, 8 soft blobs, 6 discs and noise."""
    rng = generator(seed, 777)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.zeros((height, width, 3))
    for c in range(3):
        wave = np.sin(2 * np.pi * (x * (1 + c) / 320 + y / 240 + 0.37 * seed))
        image[..., c] = 110 + 35 * wave + 20 * np.cos(2 * np.pi * (x / 97 - y * (1 + c) / 131))
    for _ in range(8):
        cx, cy, s = rng.random() * width, rng.random() * height, 15 + 60 * rng.random()
        colour = (rng.random(3) - 0.5) * 220
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s * s))[..., None] * colour
    for _ in range(6):
        cx, cy, r = rng.random() * width, rng.random() * height, 12 + 70 * rng.random()
        colour = rng.random(3) * 255
        disc = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        image[disc] = 0.4 * image[disc] + 0.6 * colour
    image += 6 * rng.standard_normal((height, width, 3))
    return np.clip(np.floor(image + 0.5), 0, 255).astype(np.uint8)


FIXED_BOXES = np.array(
    [
        [10.0, 20.0, 42.5, 60.25],
        [300.3, 200.7, 318.9, 214.2],
        [100.0, 100.0, 228.0, 196.0],
        [55.5, 33.25, 380.75, 310.5],
        [0.0, 0.0, 640.0, 480.0],
        [-30.0, -20.0, 90.0, 110.0],
        [560.0, 400.0, 700.0, 530.0],
        [400.0, -40.0, 460.0, 260.0],
        [20.0, 350.0, 620.0, 420.0],
        [-100.0, 150.0, 740.0, 470.0],
        [500.2, 120.9, 639.0, 300.1],
        [250.0, 230.0, 390.0, 478.5],
    ],
    np.float32,
)


def read_manifest(path):
    return json.loads(path.read_text())
