"""Scenes come back from the prepared records as they were drawn."""

import dataclasses
import tempfile

import numpy as np
import pytest

from sor_jax.datasets import scenes
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.scenes import encode
from sor_jax.datasets.scenes.draw import draw
from sor_jax.datasets.source import RecordSource
from tests.processes import error_of

IMAGE_HW = (48, 64)


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return scenes.builder(
        image_hw=IMAGE_HW,
        seed=7,
        num_scenes={"train": 70, "test": 3},  # 70: enough for several processes
        cache_dir=tmp_path_factory.mktemp("cache"),
    )


@pytest.mark.parametrize(("split", "index"), [("train", 0), ("train", 69), ("test", 2)])
def test_records_are_the_drawn_scenes(builder, split, index):
    scene = draw(7, split, index, image_hw=IMAGE_HW)
    record = RecordSource(builder.data_dir, split)[index]
    assert record.image_id == f"{split}_{index:06d}"
    np.testing.assert_array_equal(record.image, scene.image)
    np.testing.assert_array_equal(decode_masks(record.masks, IMAGE_HW), scene.masks)
    np.testing.assert_array_equal(record.boxes, scene.boxes)
    np.testing.assert_array_equal(record.rank_order, scene.rank_order)


def test_a_full_disk_is_named_with_the_folder_and_nothing_is_left(tmp_path):
    # Files that may not grow stand for a disk that is full.
    program = f"""
import resource
from sor_jax.commands import plain_errors
from sor_jax.datasets import scenes
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
with plain_errors():
    scenes.builder(image_hw=(64, 64), num_scenes={{"train": 30}}, cache_dir="{tmp_path}")
"""
    told = error_of("-c", program)
    assert f"{tmp_path}/scenes" in told and "config.data.cache_dir" in told
    assert not list(tmp_path.glob("scenes/*/*"))


def test_grey_map_holds_the_ranks(builder):
    for index in range(3):
        record = RecordSource(builder.data_dir, "test")[index]
        masks = decode_masks(record.masks, IMAGE_HW)
        expected = np.zeros(IMAGE_HW, np.uint8)
        greys = {1.0: 255, 0.9: 229, 0.8: 204, 0.7: 178, 0.6: 153, 0.0: 0}
        for mask, value in zip(masks, record.rank_order, strict=True):
            expected[mask] = greys[round(float(value), 1)]
        np.testing.assert_array_equal(record.grey, expected)


def test_splits_have_the_numbers_asked_for(builder):
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 70,
        "test": 3,
    }


def test_every_choice_has_its_own_records(builder):
    config = builder.builder_config
    assert config.name == "48x64-seed7-test3-train70"
    assert {field.name for field in dataclasses.fields(config)} >= {
        "image_hw",
        "seed",
        "num_scenes",
    }


def test_processes_keep_the_order():
    ids = [example["image_id"] for example in encode.examples(0, "val", 64, (32, 32))]
    assert ids == [f"val_{index:06d}" for index in range(64)]


def test_a_process_that_fails_is_reported(monkeypatch):
    monkeypatch.setattr(encode.os, "cpu_count", lambda: 2)
    with pytest.raises(RuntimeError, match="ended early"):
        list(encode.examples(-1, "val", 64, (32, 32)))  # no negative seeds


def test_processes_end_with_the_iterator(monkeypatch):
    started = []
    popen = encode.subprocess.Popen
    monkeypatch.setattr(encode.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(
        encode.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    drawn = encode.examples(0, "val", 500, (32, 32))
    next(drawn)
    drawn.close()
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_nothing_is_left_in_the_temporary_folder(monkeypatch, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    scenes.builder(num_scenes={"test": 2}, image_hw=(32, 32), cache_dir=tmp_path / "cache")
    assert list(temporary.iterdir()) == []
