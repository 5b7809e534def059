"""A config is checked before anything starts, and what older versions saved is still read."""

import json

import pytest

from configs import base, demo
from sor_jax import build
from sor_jax import config as configs
from sor_jax.build import rank_rule


def changed(name, value):
    config = base.get_config()
    config.update_from_flattened_dict({name: value})
    return config


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("eval.batch_size", 0, "1 or more"),
        ("train.batch_size", -4, "1 or more"),
        ("train.accumulate", 0, "1 or more"),
        ("train.steps", 0, "1 or more"),
        ("data.num_workers", -1, "0 or more"),
        ("optim.learning_rate", 0.0, "above 0"),
        ("optim.momentum", 1.5, "0..1"),
        ("optim.warmup_steps", -1, "0 or more"),
        ("optim.warmup_factor", 1.5, "0..1"),
        ("optim.milestones", (50, 40), "rising order"),
        ("train.profile_steps", (3, 2), "(first, last)"),
        ("train.profile_steps", (0, 2), "(first, last)"),
        ("train.profile_steps", (2,), "(first, last)"),
        ("model.proposals.test.nms_threshold", 6.0, "0..1"),
        ("train.on_nonfinite", "ignore", "raise, skip"),
        ("train.dtype", "float16", "float32, bfloat16"),
        ("eval.best_metric", "sor_mlti", "sor_multi"),
        ("data.canvas_hw", (480,), "(height, width)"),
        ("data.canvas_hw", (480, 650), "multiples of 32"),
        ("data.num_scenes.val", 0, "1 or more"),
        ("data.canvas_hw", ("480", "640"), "numbers"),
        ("model.ranking.hidden", ("a", "b"), "numbers"),
        ("model.ranking.hidden", (64, 0), "1 or more"),
        ("model.fcos.channels", 0, "1 or more"),
        ("model.ranking.heads", -1, "1 or more"),
        ("model.rcnn.test.max_detections", 0, "1 or more"),
        ("model.fcos.depth", -1, "0 or more"),
        ("optim.weight_decay", float("inf"), "0 or more"),
        ("model.pixel_std", (1.0, 1.0), "three"),
        ("model.pixel_std", (1.0, 1.0, 0.0), "above 0"),
        ("optim.trainable", (3,), "names"),
        ("seed", -1, "0 or more"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(name, value, expected):
    with pytest.raises(ValueError) as error:
        configs.validate(changed(name, value))
    for text in (f"config.{name} is {value!r}", expected):
        assert text in str(error.value)


def test_drawn_scenes_have_no_folder():
    config = demo.get_config()
    config.data.root = "assr"
    with pytest.raises(ValueError, match="config.data.root is 'assr'.*'scenes'"):
        configs.validate(config)


def test_a_config_of_another_type_is_refused():
    with pytest.raises(ValueError, match="dict.*ConfigDict"):
        configs.validate({"seed": 0})


def test_what_ships_is_fine_and_stays_as_it_is():
    for file in (base, demo):
        assert configs.validate(file.get_config()) == file.get_config()


def test_paths_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    config = configs.validate(changed("data.root", "~/assr"))
    assert config.data.root == "/home/ada/assr"


@pytest.mark.parametrize(
    "entry", [("duts", 1.0), ("duts", 0, "all"), ("duts", 1.0, "some"), (3, 1.0, "all"), "duts"]
)
def test_a_mixture_is_checked(entry, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    sound = ("~/pascal_s", 1, "ranked")
    with pytest.raises(ValueError, match=r"config\.data\.mixture is"):
        configs.validate(changed("data.mixture", (sound, entry)))
    config = configs.validate(changed("data.mixture", (sound,)))
    assert config.data.mixture == (("/home/ada/pascal_s", 1, "ranked"),)


def test_a_config_of_before_is_read_under_the_names_of_today(tmp_path):
    path = tmp_path / "config.json"
    old = {
        "optim": {"rate": 0.1, "only": ["ranking"]},
        "data": {"image_hw": [8, 8]},
        "loss": {"mask_gradient": True, "rank_weight": 1.0},
        "model": {"rank_rule": "reference_mask_rcnn", "clip_boxes": False, "box_extent": 4.0},
    }
    path.write_text(json.dumps(old))
    read = configs.read_saved(path)
    assert {name: value for name, value in read.items() if name != "model.box_extent"} == {
        "optim.learning_rate": 0.1,
        "optim.trainable": ["ranking"],
        "data.canvas_hw": [8, 8],
        "loss.weights.rank": 1.0,
        "reference.mask_gradient": True,
        "reference.unclipped_boxes": True,
        "reference.rank_over_regions": True,
        "model.rank_rule": "sequential",
    }
    path.write_text("[]")
    with pytest.raises(ValueError, match="config.json .*list"):
        configs.read_saved(path)


def test_every_new_name_is_a_field():
    fields = configs.flatten(base.get_config().to_dict())
    assert {new for new, _ in configs.RENAMED.values()} <= fields.keys()
    assert not configs.RENAMED.keys() & fields.keys()


@pytest.mark.parametrize(
    "detector, rule", [("centermask", "reference"), ("mask_rcnn", "reference_mask_rcnn")]
)
def test_the_originals_rule_of_ranks_is_the_detectors(detector, rule):
    config = base.get_config()
    config.model.detector = detector
    assert rank_rule(config) == "sequential"
    config.reference.rank_over_regions = True
    assert rank_rule(config) == rule


@pytest.mark.parametrize("dtype", build.DTYPES)
def test_every_dtype_that_can_be_built_is_valid(dtype):
    assert configs.validate(changed("train.dtype", dtype)).train.dtype == dtype


def test_frozen_norms_without_weights_are_told():
    config = base.get_config()
    assert any("frozen_bn" in note and "init_from" in note for note in configs.notes(config))
    config.init_from = "weights"
    assert not list(configs.notes(config))
