"""The ASSR builder: what it stores, when it prepares, where it writes."""

import concurrent.futures
import json
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sor_jax.datasets import assr
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.prepare import LocalBuilder
from sor_jax.datasets.source import RecordSource
from tests.datasets import assr_tree
from tests.processes import output_of, python


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    assr_tree.write_split(root, "val", segmentation=assr_tree.rle)
    assr_tree.write_split(root, "test", segmentation=assr_tree.long_rle)
    return root


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_records_are_what_the_files_say(root, tmp_path, split):
    builder = assr.builder(root, split, cache_dir=tmp_path / "cache")
    source = RecordSource(builder.data_dir, split)
    assert [source[i].image_id for i in range(len(source))] == list(assr_tree.IMAGES)
    for record, objects in zip(source, assr_tree.IMAGES.values(), strict=True):
        boxes, values = zip(*objects, strict=True)
        np.testing.assert_array_equal(record.boxes, np.array(boxes, np.float32))
        np.testing.assert_array_equal(record.rank_order, np.array(values, np.float32))
        want = np.stack([assr_tree.mask_of(box) for box in boxes])
        np.testing.assert_array_equal(decode_masks(record.masks, assr_tree.IMAGE_HW), want)
        grey = np.zeros(assr_tree.IMAGE_HW, np.uint8)
        for mask, value in zip(want, values, strict=True):
            grey[mask] = assr_tree.GREYS.get(value, 0)
        np.testing.assert_array_equal(record.grey, grey)


def test_bytes_are_stored_unchanged(root, tmp_path):
    builder = assr.builder(root, "train", cache_dir=tmp_path / "cache")
    encoded = {name: tfds.decode.SkipDecoding() for name in ("image", "grey")}
    stored = builder.as_data_source("train", decoders=encoded)
    for index, image_id in enumerate(assr_tree.IMAGES):
        assert stored[index]["image"] == (root / f"images/train/{image_id}.jpg").read_bytes()
        assert stored[index]["grey"] == (root / f"gt/train/{image_id}.png").read_bytes()


def test_prepares_once_and_again_after_a_change(root, tmp_path, monkeypatch):
    before = files_of(root)
    first = assr.builder(root, "train", cache_dir=tmp_path / "cache")
    # Not its neighbour content/, which takes the digests of files once they are two seconds old.
    written = files_of(tmp_path / "cache/assr")
    with monkeypatch.context() as patch:
        patch.setattr(LocalBuilder, "download_and_prepare", None)  # a call would raise
        assert assr.builder(root, "train", cache_dir=tmp_path / "cache").data_dir == first.data_dir
    assert files_of(root) == before  # the folder is only read
    assert files_of(tmp_path / "cache/assr") == written

    ranks = root / "rank_order/train/two.json"
    ranks.write_text(json.dumps({"rank_order": [1.0, 0.9]}))
    grey = np.array(Image.open(root / "gt/train/two.png"))
    grey[grey > 0] = np.where(grey[grey > 0] == 255, 229, 255)
    Image.fromarray(grey).save(root / "gt/train/two.png")
    second = assr.builder(root, "train", cache_dir=tmp_path / "cache")
    assert second.data_dir != first.data_dir
    np.testing.assert_array_equal(
        RecordSource(second.data_dir, "train").rank_order(0), np.float32([1.0, 0.9])
    )


def test_a_preparation_that_failed_is_never_read(root, tmp_path):
    photo = root / "images/test/one.jpg"  # the last record
    whole = photo.read_bytes()
    photo.write_bytes(whole[:200])
    with pytest.raises(ValueError, match=r"one\.jpg"):
        assr.builder(root, "test", cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.array_record*"))
    photo.write_bytes(whole)
    builder = assr.builder(root, "test", cache_dir=tmp_path / "cache")
    assert builder.info.splits["test"].num_examples == 4


def test_what_a_killed_preparation_left_is_cleared(root, tmp_path):
    builder = assr.builder(root, "train", cache_dir=tmp_path / "cache")
    place = tmp_path / "cache/assr" / builder.builder_config.name
    (place / f"{builder.version}/about.json").unlink()  # written last
    (place / f"incomplete.ABCDEF_{builder.version}").mkdir()
    again = assr.builder(root, "train", cache_dir=tmp_path / "cache")
    assert len(RecordSource(again.data_dir, "train")) == 4
    assert not list(place.glob("incomplete*"))


def test_only_the_splits_that_are_there(tmp_path):
    assr_tree.write_split(tmp_path / "files", "test")
    builder = assr.builder(tmp_path / "files", "test", cache_dir=tmp_path / "cache")
    assert list(builder.info.splits) == ["test"]
    with pytest.raises(FileNotFoundError, match="train_images.txt .*test"):
        assr.builder(tmp_path / "files", "train", cache_dir=tmp_path / "cache")


def test_two_processes_prepare_once(root, tmp_path):
    command = ("data/assr/prepare.py", "--root", root, "--cache_dir", tmp_path / "cache")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: python(*command), range(2)))
    assert [run.returncode for run in runs] == [0, 0], runs
    assert sum(run.stderr.count("Preparing") for run in runs) == 3
    for run in runs:
        assert "train       4 photographs" in run.stdout


def test_a_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        assr.builder(tmp_path / "nowhere", "train", cache_dir=tmp_path / "cache")
    for part in (
        "nowhere/train_images.txt",
        "data/assr/README.md",
        "python data/assr/prepare.py --root",
    ):
        assert part in str(error.value)
    with pytest.raises(FileNotFoundError, match="config.data.root"):
        assr.builder("", "train", cache_dir=tmp_path / "cache")


def test_neither_tensorflow_nor_jax_is_imported(root, tmp_path):
    code = (
        "import sys; from sor_jax.datasets import source; "
        "from sor_jax.inputs import pad, transforms; "
        f"s = source.open_source('assr', root={str(root)!r}, split='train', "
        f"cache_dir={str(tmp_path / 'cache')!r}, canvas_hw=(64, 64)); "
        "pad.pad_record(s[0], canvas_hw=(64, 64), max_objects=5); "
        "assert not {'tensorflow', 'jax'} & set(sys.modules); "
        "from sor_jax.inputs import loader; "
        "it = loader.train_iterator(s, canvas_hw=(64, 64), batch_size=2, max_objects=5, seed=0); "
        "next(it); it.close(); assert 'tensorflow' not in sys.modules"
    )
    output_of("-c", code)


def test_other_ranks_of_the_same_objects(root, tmp_path):
    """rank_order_fix with gt_fix, here the values and the greys of the main ranks turned round."""
    turned, greys = {}, {}
    for split in ("train", "val", "test"):
        for kind in ("rank_order_fix", "gt_fix"):
            (root / kind / split).mkdir(parents=True)
        for image_id in assr_tree.IMAGES:
            file = root / "rank_order" / split / f"{image_id}.json"
            turned[image_id] = json.loads(file.read_text())["rank_order"][::-1]
            new = root / "rank_order_fix" / split / file.name
            new.write_text(json.dumps({"rank_order": turned[image_id]}))
            grey = np.zeros(assr_tree.IMAGE_HW, np.uint8)
            for (box, _), value in zip(assr_tree.IMAGES[image_id], turned[image_id], strict=True):
                grey[assr_tree.mask_of(box)] = assr_tree.GREYS.get(value, 0)
            greys[image_id] = grey
            Image.fromarray(greys[image_id]).save(root / "gt_fix" / split / f"{image_id}.png")
    builders = {
        name: assr.builder(root, "val", cache_dir=tmp_path / "cache", rank_field=name)
        for name in ("rank_order", "rank_order_fix")
    }
    assert len({b.data_dir for b in builders.values()}) == 2
    votes, fixations = (RecordSource(b.data_dir, "val") for b in builders.values())
    for vote, fixation in zip(votes, fixations, strict=True):
        want = np.array(turned[fixation.image_id], np.float32)
        np.testing.assert_array_equal(fixation.rank_order, want)
        np.testing.assert_array_equal(vote.rank_order, want[::-1])
        np.testing.assert_array_equal(fixation.grey, greys[fixation.image_id])
        np.testing.assert_array_equal(fixation.boxes, vote.boxes)


def test_ranks_that_are_not_there_are_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="rank_order_gaze .*rank_field"):
        assr.builder(root, "val", cache_dir=tmp_path / "cache", rank_field="rank_order_gaze")
    with pytest.raises(ValueError, match="rank_field is 'votes'"):
        assr.builder(root, "val", cache_dir=tmp_path / "cache", rank_field="votes")


def test_a_folder_without_ranks_holds_objects_alone(root, tmp_path):
    for folder in ("rank_order", "gt"):
        shutil.rmtree(root / folder)
    source = RecordSource(assr.builder(root, "val", cache_dir=tmp_path / "cache").data_dir, "val")
    for record, objects in zip(source, assr_tree.IMAGES.values(), strict=True):
        assert record.grey is None
        assert not record.rank_order.any()
        np.testing.assert_array_equal(record.boxes, np.float32([box for box, _ in objects]))


@pytest.mark.parametrize("folder", ["rank_order", "gt"])
def test_half_of_the_ranks_is_an_error(root, tmp_path, folder):
    shutil.rmtree(root / folder)
    with pytest.raises(FileNotFoundError, match=f"{folder}/train/two"):
        assr.builder(root, "train", cache_dir=tmp_path / "cache")
