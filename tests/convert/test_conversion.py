"""From a file to weights that training and evaluation take."""

import hashlib
import json

import jax
import numpy as np
import pytest

from sor_jax import build
from sor_jax.checkpoints.provenance import normalisation_of, read_provenance
from sor_jax.checkpoints.weights import init_variables_from, load_variables, save_variables
from sor_jax.convert.conversion import convert, export
from sor_jax.convert.fit import variables_to_torch
from sor_jax.models.vovnet import VOVNETS
from tests.convert import writers
from tests.processes import python
from tests.small import small_config

BGR = {"pixel_order": "bgr", "pixel_mean": (103.53, 116.28, 123.675), "pixel_std": (1.0,) * 3}


def frozen_config():
    config = small_config()
    config.model.norm = "frozen_bn"
    config.init_from = "somewhere"
    return config


@pytest.fixture(scope="module")
def model():
    """(config, variables) of the small network with frozen norms."""
    config = frozen_config()
    network = build.build_model(config)
    shapes = jax.eval_shape(lambda: build.init_variables(network, jax.random.key(0)))
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            rng.uniform(0.5, 2, leaf.shape)
            if path[-1].key == "var"
            else rng.normal(size=leaf.shape)
        ).astype(np.float32),
        shapes,
    )
    return config, variables


def write(path, arrays, writer=writers.write_zip, **beside):
    value = {name: writers.whole(str(i), array) for i, (name, array) in enumerate(arrays.items())}
    writer(path, {"model": value, **beside})
    return path


def coco(variables):
    """The checkpoint with 80 classes and without a ranking head."""
    arrays = {k: v for k, v in variables_to_torch(variables).items() if "sor_head" not in k}
    for part in ("proposal_generator.fcos_head.cls_logits", "roi_heads.mask_head.predictor",
                 "roi_heads.maskiou_head.maskiou"):  # fmt: skip
        for leaf in ("weight", "bias"):
            arrays[f"{part}.{leaf}"] = np.repeat(arrays[f"{part}.{leaf}"], 80, axis=0)
    return arrays


def assert_trees_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("writer", [writers.write_zip, writers.write_legacy])
def test_a_whole_checkpoint(model, tmp_path, writer, capsys):
    config, variables = model
    path = write(tmp_path / "a.pth", variables_to_torch(variables), writer, iteration=3)
    convert(path, config, tmp_path / "out")
    assert_trees_equal(load_variables(tmp_path / "out", variables), variables)

    provenance = read_provenance(tmp_path / "out")
    assert provenance.normalisation.pixel_order == "bgr"
    assert provenance.normalisation.pixel_mean == (103.53, 116.28, 123.675)
    assert provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (provenance.source, provenance.fresh) == ("a.pth", ())
    assert provenance.family == "CenterMask (detectron2)" and "BY-NC" in provenance.licence
    printed = capsys.readouterr().out
    assert "input: bgr, mean (103.53, 116.28, 123.675), std (1, 1, 1)" in printed
    assert "missing            0" in printed and "CC BY-NC 4.0" in printed
    assert not list(tmp_path.glob("*.part"))


def test_there_and_back_through_files(model, tmp_path, capsys):
    config, variables = model
    arrays = variables_to_torch(variables)
    convert(write(tmp_path / "a.pth", arrays), config, tmp_path / "out")
    export(tmp_path / "out", config, tmp_path / "back.npz")
    with np.load(tmp_path / "back.npz") as back:
        assert set(back.files) == arrays.keys()
        for name in arrays:
            np.testing.assert_array_equal(back[name], arrays[name], err_msg=name)
    assert "the weights expect bgr, mean (103.53" in capsys.readouterr().out
    convert(tmp_path / "back.npz", config, tmp_path / "again")
    assert_trees_equal(load_variables(tmp_path / "again", variables), variables)
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        export(tmp_path / "out", config, tmp_path / "back.pth")


def test_coco_weights_start_a_model_of_one_class(model, tmp_path, capsys, caplog):
    config, variables = model
    path = write(tmp_path / "coco.pth", coco(variables))
    with pytest.raises(ValueError, match="nothing was written: .* --allow-missing ranking$"):
        convert(path, config, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    capsys.readouterr()

    convert(path, config, tmp_path / "out", allow_missing=["ranking"])
    printed = capsys.readouterr().out
    assert printed.count("80 classes in the file, 1 in the model") == 6
    assert "written to" in printed and "for config.init_from\n" in printed
    fresh = read_provenance(tmp_path / "out").fresh
    assert {name.split("/")[1] for name in fresh} == {"fcos", "mask", "iou", "ranking"}
    assert "params/mask/predictor/kernel" in fresh and "params/mask/conv1/kernel" not in fresh

    network = build.build_model(config)
    start = build.init_variables(network, jax.random.key(3))
    got = init_variables_from(tmp_path / "out", start)
    assert_trees_equal(got["params"]["ranking"], start["params"]["ranking"])
    assert_trees_equal(got["params"]["fcos"]["class_logit"], start["params"]["fcos"]["class_logit"])
    for part in ("backbone", "pyramid"):
        assert_trees_equal(got["params"][part], variables["params"][part])
    assert_trees_equal(got["params"]["mask"]["deconv"], variables["params"]["mask"]["deconv"])
    assert_trees_equal(got["params"]["iou"]["fc2"], variables["params"]["iou"]["fc2"])
    assert_trees_equal(got["frozen"], variables["frozen"])
    assert "they keep their start" in caplog.text


def test_a_body_alone(model, tmp_path):
    config, variables = model
    body = {k.removeprefix("backbone.bottom_up."): v
            for k, v in variables_to_torch(variables).items() if "bottom_up" in k}  # fmt: skip
    path = write(tmp_path / "body.pth", body)
    with pytest.raises(ValueError, match="--allow-missing fcos,iou,mask,pyramid,ranking$"):
        convert(path, config, tmp_path / "out")
    convert(path, config, tmp_path / "out", allow_missing=["fcos,iou,mask", "pyramid", "ranking"])
    got = init_variables_from(tmp_path / "out", variables)
    assert_trees_equal(got["params"]["backbone"], variables["params"]["backbone"])


def test_the_files_own_normalisation_counts(model, tmp_path):
    config, variables = model
    arrays = variables_to_torch(variables)
    arrays["pixel_mean"] = np.array([1.5, 2.5, 103.53], np.float32).reshape(3, 1, 1)
    arrays["pixel_std"] = np.array([57.375, 57.12, 58.395], np.float32).reshape(3, 1, 1)
    convert(write(tmp_path / "a.pth", arrays), config, tmp_path / "out")
    got = read_provenance(tmp_path / "out").normalisation
    assert (got.pixel_mean, got.pixel_std) == ((1.5, 2.5, 103.53), (57.375, 57.12, 58.395))


def test_timm_weights_bring_their_input(tmp_path, monkeypatch, capsys):
    from tests.convert.test_timm import SAMPLES, SPECS

    monkeypatch.setitem(VOVNETS, "timm_tiny", SPECS["timm_tiny"])
    config = frozen_config()
    config.model.backbone = "timm_tiny"
    rest = ["fcos,iou,mask,pyramid,ranking"]
    convert(SAMPLES / "timm_tiny.safetensors", config, tmp_path / "out", allow_missing=rest)
    got = read_provenance(tmp_path / "out")
    assert (got.normalisation.pixel_order, got.licence) == ("rgb", "Apache-2.0")
    assert got.normalisation != normalisation_of(config)
    printed = capsys.readouterr().out
    assert "filled             4  backbone 4" in printed
    assert "timm has no eSE in this block: the gate starts open" in printed


def test_what_is_there_is_never_overwritten(model, tmp_path):
    config, variables = model
    path = write(tmp_path / "a.pth", variables_to_torch(variables))
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="is there already"):
        convert(path, config, tmp_path / "out")
    with pytest.raises(FileExistsError, match="is there already"):
        export(tmp_path / "out", config, path)


def test_a_file_without_a_single_parameter_writes_nothing(model, tmp_path):
    config, variables = model
    norms = {k: v for k, v in variables_to_torch(variables).items() if "running" in k}
    norms["backbone.bottom_up.stem.stem_1/conv.weight"] = np.zeros((1, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match="shares no parameter"):
        convert(write(tmp_path / "a.pth", norms), config, tmp_path / "out", allow_missing=["*"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name, change, told",
    [
        ("backbone.fpn_lateral4.weight", np.nan, "1 of 256 numbers are nan or inf"),
        ("roi_heads.sor_head.sor.bias", -np.inf, "1 of 5 numbers are nan or inf"),
        ("proposal_generator.fcos_head.scales.2.scale", 1e39, "1 of 5 numbers are nan or inf"),
        ("backbone.bottom_up.stem.stem_1/norm.running_var", -0.25, "variance is -0.25"),
    ],
)
def test_weights_that_no_model_can_work_with(model, tmp_path, name, change, told):
    config, variables = model
    arrays = dict(variables_to_torch(variables))
    arrays[name] = np.array(arrays[name], np.float64)
    arrays[name].flat[0] = change
    path = write(tmp_path / "a.pth", arrays)
    with pytest.raises(ValueError, match="nothing was written") as caught:
        convert(path, config, tmp_path / "out")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and name in lines[1] and told in lines[1]
    assert not (tmp_path / "out").exists()


def test_a_run_that_went_to_nan_is_not_exported(model, tmp_path):
    config, variables = model
    broken = jax.tree.map(np.copy, variables)
    broken["params"]["mask"]["conv1"]["bias"][0] = np.nan
    save_variables(tmp_path / "run", broken)
    with pytest.raises(ValueError, match="params/mask/conv1/bias: 1 of"):
        export(tmp_path / "run", config, tmp_path / "back.npz")
    assert not (tmp_path / "back.npz").exists()


def test_an_average_of_the_weights_beside_them(model, tmp_path, capsys):
    config, variables = model
    arrays = variables_to_torch(variables)
    tensors = {n: writers.whole(str(i), array) for i, (n, array) in enumerate(arrays.items())}
    averaged = {
        f"module.{n}": writers.whole(f"e{i}", array * np.float32(0.5))
        for i, (n, array) in enumerate(arrays.items())
    }
    path = tmp_path / "both.pth"
    writers.write_zip(path, {"model": tensors, "model_ema": averaged, "epoch": 3})
    convert(path, config, tmp_path / "out")
    printed = capsys.readouterr().out
    assert "'model_ema'" in printed and "--prefer ema" in printed
    assert_trees_equal(load_variables(tmp_path / "out", variables), variables)
    convert(path, config, tmp_path / "ema", prefer="ema")
    assert "'model'" in capsys.readouterr().out
    halves = jax.tree.map(lambda leaf: leaf * np.float32(0.5), variables)
    assert_trees_equal(load_variables(tmp_path / "ema", variables), halves)


def test_the_config_stays_beside_the_weights(model, tmp_path):
    """As a workdir's, with the input that the weights expect."""
    config, variables = model
    path = write(tmp_path / "a.pth", variables_to_torch(variables))
    convert(path, config, tmp_path / "out")
    kept = json.loads((tmp_path / "out/config.json").read_text())
    given = json.loads(config.to_json_best_effort())
    inputs = ("pixel_order", "pixel_mean", "pixel_std")
    given["model"].update({name: kept["model"][name] for name in inputs})
    assert kept == given
    assert kept["model"]["backbone"] == config.model.backbone
    assert (kept["model"]["pixel_order"], kept["model"]["pixel_std"]) == ("bgr", [1.0] * 3)
    assert normalisation_of(config).pixel_order == "rgb"
    assert read_provenance(tmp_path / "out").sha256


def test_the_command(model, tmp_path):
    """As a user gives it; the config is set as in training, what is missing ends with status 1."""
    _, variables = model
    (tmp_path / "small.py").write_text(
        "from tests.convert.test_conversion import frozen_config as get_config\n"
    )
    path = write(tmp_path / "coco.pth", coco(variables))

    def run(*flags):
        config = ("--config", tmp_path / "small.py", "--config.seed=4")
        return python("-m", "sor_jax.convert", path, *flags, *config, timeout=300)

    failed = run("--out", f"{tmp_path}/out")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: nothing was written: ")
    assert not (tmp_path / "out").exists()
    done = run("--out", f"{tmp_path}/out", "--allow-missing", "ranking")
    assert done.returncode == 0, done.stderr
    assert "re-initialised" in done.stdout and done.stderr == ""
    assert json.loads((tmp_path / "out/weights.json").read_text())["source"] == "coco.pth"
