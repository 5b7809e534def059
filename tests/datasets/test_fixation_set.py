"""The command: a ranked set that the project reads, whole or not at all."""

import importlib.util
import json
import pathlib
import random
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import sor_jax
from sor_jax.datasets.assr.builder import builder
from sor_jax.datasets.fixations.photographs import Photograph, deal, of_folder
from sor_jax.datasets.masks import decode_masks, to_rle
from sor_jax.datasets.source import open_source
from sor_jax.decode.paste import PhotoDetections
from tests.datasets import assr_tree
from tests.datasets.test_fixation_files import broken
from tests.door.models import exported, photograph

SCRIPT = pathlib.Path(__file__).parents[2] / "data/rank_from_fixations.py"
# Photograph "two" has an object at x 4..20, y 6..30 and one at x 30..60, y 10..40.
FIXATIONS = [
    {"img": "two", "fixations": [[[10, 10, 200], [40, 20, 100]], [[12, 12, 90]], [[40, 20, 100]]]},
    {"img": "none", "fixations": [[[0, 0, 200]], [], []]},
    {"img": "three", "fixations": [[[5, 5, 10], [25, 30, 10]], [[50, 20, 10]], [[50, 22, 20]]]},
    {"img": "one", "fixations": [[[55, 7, 10]], [[55, 8, 10]], []]},
    {"img": "elsewhere", "fixations": [[[1, 1, 1]]]},
]


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command over a tiny folder; the new set goes to tmp_path / "set"."""
    spec = importlib.util.spec_from_file_location("rank_from_fixations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assr_tree.write_split(tmp_path / "objects", "train")
    (tmp_path / "f.json").write_text(json.dumps(FIXATIONS))

    def run(*extra, objects=tmp_path / "objects", fixations=tmp_path / "f.json"):
        argv = ["rank_from_fixations", "--objects", objects, "--out", tmp_path / "set", *extra]
        argv += ["--fixations", fixations] if fixations else []
        monkeypatch.setattr("sys.argv", [str(word) for word in argv])
        module.main()
        return tmp_path / "set"

    return run


@pytest.fixture
def refused(command, capsys):
    """Runs the command, which has to exit with 1, and returns the one message on stderr."""

    def run(*extra, **named):
        with pytest.raises(SystemExit) as stop:
            command(*extra, **named)
        message = capsys.readouterr().err
        assert stop.value.code == 1 and message.startswith("error: ")
        return message

    return run


def ranks(root, image_id, folder="rank_order", split="train"):
    return json.loads((root / folder / split / f"{image_id}.json").read_text())["rank_order"]


def test_a_set_is_written_and_read(command, tmp_path, capsys):
    made = command("--protocol", "first", "duration")
    assert ranks(made, "two") == [1.0, 0.9]  # 1.0 + 1.0 + 0 against .9 + 0 + 1.0
    assert ranks(made, "two", "rank_order_duration") == [1.0, 0.9]
    assert ranks(made, "three") == [0.9, 0.8, 1.0]
    assert ranks(made, "none") == [0.0] and ranks(made, "one") == [0.0, 1.0]
    source = open_source(
        "assr", root=made, split="train", cache_dir=tmp_path / "cache", canvas_hw=(48, 64)
    )
    assert len(source) == 4
    record = next(source[k] for k in range(4) if source[k].image_id == "three")
    old = (tmp_path / "objects/images/train/three.jpg").resolve()
    assert (made / "images/train/three.jpg").resolve() == old
    assert record.grey[5, 5] == 229 and record.grey[20, 50] == 255 and record.grey[0, 63] == 0
    printed = capsys.readouterr().out
    assert "4 photographs, 8 objects, 6 with a rank by first" in printed
    assert "1 photographs of the fixations are not among those of the objects" in printed
    assert "between people" in printed and "between protocols" in printed
    report = json.loads((made / "ranks_from_fixations.json").read_text())
    assert report["counts"]["fixations"] == 11 and report["counts"]["on_objects"] == 10
    assert set(report["between_protocols"]) == {"first", "people", "count", "duration"}
    assert report["people"]["first"]["images"] == 4
    with Image.open(made / "ranks_from_fixations.png") as sheet:
        assert sheet.width == 4 * sheet.height / 48 * 64  # four photographs of 48x64 in a row


def test_ranks_of_a_second_protocol_can_be_trained_on(command, tmp_path):
    made = command("--protocol", "first", "count")
    root = builder(made, split="train", cache_dir=tmp_path / "cache", rank_field="rank_order_count")
    assert root.info.splits["train"].num_examples == 4


def test_photographs_can_be_copied_and_dealt_anew(command, tmp_path):
    made = command("--protocol", "count", "--copy", "--shares", "50", "25", "25", "--seed", "3")
    lists = {
        split: (made / f"{split}_images.txt").read_text().split()
        for split in ("train", "val", "test")
    }
    assert [len(ids) for ids in lists.values()] == [2, 1, 1]
    assert sorted(sum(lists.values(), [])) == ["none", "one", "three", "two"]
    file = made / "images/val" / f"{lists['val'][0]}.jpg"
    assert file.is_file() and not file.is_symlink()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--protocol", "density_peak"], ["density_peak", "--density", "serves first, people"]),
        (["--protocol", "first", "--margin", "1deg"], ["--pixels_per_degree"]),
        (["--protocol", "first", "--margin", "near"], ["--margin", "'near'"]),
        (["--protocol", "first", "--density", "nowhere"], ["nowhere", "no folder"]),
        (["--protocol", "first", "--halvings", "0"], ["0 halvings"]),
        (["--protocol", "first", "--shares", "80", "-10", "10"], ["(80, -10, 10)"]),
    ],
)
def test_what_cannot_be_served_leaves_nothing(refused, tmp_path, extra, words):
    message = refused(*extra)
    assert all(word in message for word in words), message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.json", "objects"]


def test_damage_in_the_last_photograph_leaves_nothing(refused, tmp_path):
    photograph = tmp_path / "objects/images/train/one.jpg"
    photograph.write_bytes(photograph.read_bytes()[:700])
    assert "one.jpg" in refused("--protocol", "first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.json", "objects"]


def test_objects_that_cannot_be_used_are_left_out_and_told(command, tmp_path, capsys):
    with assr_tree.edited_objects(tmp_path / "objects", "one") as things:
        things[0]["bbox"] = [5, 5, 2]
    root = command("--protocol", "first")
    assert re.search(
        r"1 objects .*obj_seg_data_train\.json, record one: .*bbox", capsys.readouterr().out
    )
    report = json.loads((root / "ranks_from_fixations.json").read_text())
    assert len(report["unusable_objects"]) == 1 and report["counts"]["objects"] == 7
    source = open_source("assr", root=root, split="train", cache_dir=tmp_path, canvas_hw=(9, 9))
    (record,) = [one for one in map(source.__getitem__, range(4)) if one.image_id == "one"]
    np.testing.assert_array_equal(record.boxes, [[50, 2, 60, 12]])
    assert record.rank_order.tolist() == [1.0]


def test_a_set_of_unusable_objects_is_refused(refused, tmp_path):
    for image_id in assr_tree.IMAGES:
        with assr_tree.edited_objects(tmp_path / "objects", image_id) as things:
            for one in things:
                one["bbox"] = [5, 5, 2]
    assert re.search(r"8 of 8 objects.*obj_seg_data_train\.json", refused("--protocol", "first"))


def test_a_folder_that_is_not_empty_is_left_alone(refused, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/mine.txt").write_text("mine")
    assert "not empty" in refused("--protocol", "first")
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_ids_that_do_not_meet_are_shown(refused, tmp_path):
    (tmp_path / "f.json").write_text(json.dumps([{"img": "x_7", "fixations": []}]))
    assert re.search(r"two.*x_7.*--match number", refused("--protocol", "first"))


def test_coordinates_that_lie_outside_are_refused(refused, tmp_path):
    far = [entry | {"fixations": [[[900, 700, 5]]]} for entry in FIXATIONS]
    (tmp_path / "f.json").write_text(json.dumps(far))
    assert re.search(r"f\.json.*4 of 4 fixations lie outside", refused("--protocol", "count"))


def test_the_margin_takes_what_is_near(command, tmp_path):
    (tmp_path / "f.json").write_text(json.dumps([{"img": "two", "fixations": [[[25, 20, 5]]]}]))
    made = command("--protocol", "count", "--margin", "0.5deg", "--pixels_per_degree", "12")
    # 5.5 pixels from x = 19.5 and 5.5 from x = 30.5: equally near, object 0 has fewer pixels.
    assert ranks(made, "two") == [1.0, 0.0]


def test_forty_damaged_inputs_are_refused_by_name_or_read(command, tmp_path, capsys):
    """Damage in one file of any kind; after a refusal nothing is left."""
    (tmp_path / "density").mkdir()
    grey = (np.arange(48 * 64) % 251).astype(np.uint8).reshape(48, 64)
    for entry in FIXATIONS:
        Image.fromarray(grey).save(tmp_path / "density" / f"{entry['img']}.png")
    files = [file for file in sorted(tmp_path.rglob("*")) if file.is_file()]
    files = [file for file in files if not {"gt", "rank_order"} & set(file.parts)]
    objects = tmp_path / "objects/obj_seg_data_train.json"
    refused = 0
    for seed in range(40):
        rng = random.Random(seed)
        file = rng.choice([*files, *[tmp_path / "f.json", objects] * 3])
        whole = file.read_bytes()
        file.write_bytes(broken(whole, rng))
        try:
            made = command(
                *("--protocol", "first", "density_peak", "--density", tmp_path / "density"),
                *("--halvings", "1"),
            )
        except SystemExit:
            refused += 1
            message = capsys.readouterr().err
            assert file.stem in message, (seed, file, message)
            left = sorted(path.name for path in tmp_path.iterdir())
            assert left == ["density", "f.json", "objects"], seed
        else:
            values = [json.loads(f.read_text())["rank_order"] for f in made.rglob("rank_order/*/*")]
            assert all(0 <= value <= 1 for one in values for value in one), seed
            shutil.rmtree(made)
        file.write_bytes(whole)
    assert 10 < refused < 40


def as_coco(root, out):
    """The tiny folder's objects as COCO JSON beside the photographs; a crowd is among them."""
    images, annotations = [], []
    for number, entry in enumerate(json.loads((root / "obj_seg_data_train.json").read_text())):
        images.append({"id": number, "file_name": f"{entry['img']}.jpg", "height": 48, "width": 64})
        for one in entry["object_data"]:
            x0, y0, x1, y1 = one["bbox"]
            box = [x0, y0, x1 - x0, y1 - y0]
            annotations.append({"image_id": number, **one, "bbox": box, "iscrowd": 0})
        annotations.append({**annotations[-1], "iscrowd": 1})
    (out / "images").mkdir(parents=True)
    shutil.copytree(root / "images/train", out / "images/train")
    (out / "train.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def test_a_photograph_that_is_no_jpeg_is_written_as_it_is_seen(command, tmp_path):
    file = tmp_path / "objects/images/train/one.jpg"
    Image.new("RGBA", Image.open(file).size, (0, 0, 0, 0)).save(file.with_suffix(".png"))
    file.unlink()
    made = command("--protocol", "first")
    assert np.asarray(Image.open(made / "images/train/one.jpg")).min() == 255  # white shows through


def test_a_list_of_ids_beside_coco_json_is_no_set_of_objects(command, tmp_path):
    as_coco(tmp_path / "objects", tmp_path / "coco")
    shutil.copy(tmp_path / "objects/train_images.txt", tmp_path / "coco")
    assert ranks(command("--protocol", "first", objects=tmp_path / "coco"), "two") == [1.0, 0.9]


def test_objects_of_a_labelling_tool(command, refused, tmp_path, capsys):
    as_coco(tmp_path / "objects", tmp_path / "coco")
    made = command("--protocol", "first", objects=tmp_path / "coco")
    assert ranks(made, "two") == [1.0, 0.9] and ranks(made, "three") == [0.9, 0.8, 1.0]
    boxes = json.loads((made / "obj_seg_data_train.json").read_text())
    assert {e["img"]: e["object_data"][0]["bbox"] for e in boxes}["two"] == [4, 6, 20, 30]
    shutil.rmtree(made)
    content = json.loads((tmp_path / "coco/train.json").read_text())
    content["annotations"][0]["bbox"] = [1, 2]
    (tmp_path / "coco/train.json").write_text(json.dumps(content))
    capsys.readouterr()
    shutil.rmtree(command("--protocol", "first", objects=tmp_path / "coco"))
    told = capsys.readouterr().out
    assert re.search(r"1 objects.*train\.json.*object 0: bbox is \[1, 2\].*x y width", told)
    message = refused("--protocol", "first", objects=tmp_path / "coco/images")
    assert "data/assr" in message and "data/coco" in message and "as a model" in message


def without_copies(masks):
    """Indices of the masks with a pixel that overlap none before them by an IoU above a half."""
    kept = []
    for index, mask in enumerate(masks):
        overlaps = [(mask & masks[j]).sum() / (mask | masks[j]).sum() for j in kept if mask.any()]
        if mask.any() and all(iou <= 0.5 for iou in overlaps):
            kept.append(index)
    return kept


def test_a_thing_that_is_found_twice_is_taken_once():
    spec = importlib.util.spec_from_file_location("rank_from_fixations", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    boxes = np.array([(2, 2, 22, 22), (4, 2, 24, 22), (30, 5, 38, 35), (2, 2, 12, 22)], float)
    found = PhotoDetections(
        photo_hw=(40, 40),
        xyxy=boxes,
        score=np.array([0.9, 0.8, 0.7, 0.6]),
        mask_score=np.ones(4),
        mask_prob=np.ones((4, 28, 28)),
        rank_class=np.full(4, -1),
        rank_prob=np.full((4, 5), 0.2),
    )
    # The second is the first moved by two pixels; the fourth is half of the first.
    assert [one["bbox"] for one in module._as_objects(found)] == boxes[[0, 2, 3]].tolist()


def test_objects_that_a_model_finds(command, refused, tmp_path):
    photographs = {name: photograph(seed) for seed, name in enumerate(("a", "b", "c"))}
    (tmp_path / "photos").mkdir()
    for name, pixels in photographs.items():
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    looks = [{"img": name, "size": [120, 90], "looked_at": [[90, 70]] * 3} for name in photographs]
    (tmp_path / "f.json").write_text(json.dumps(looks))
    assert "--images" in refused("--protocol", "count", objects=exported())
    made = command("--protocol", "count", "--images", tmp_path / "photos", objects=exported())
    entries = json.loads((made / "obj_seg_data_train.json").read_text())
    ranker = sor_jax.load(exported(), batch_size=1)
    for entry in entries:
        (found,) = ranker.find([photographs[entry["img"]]])
        masks = found.masks(np.arange(len(found.xyxy)))
        kept = without_copies(masks)
        assert len(entry["object_data"]) == len(kept) > 0
        boxes = [one["bbox"] for one in entry["object_data"]]
        tight = [np.argwhere(mask.T) for mask in masks[kept]]
        assert boxes == [[*where.min(axis=0), *(where.max(axis=0) + 1)] for where in tight]
        stored = [to_rle(one["segmentation"], (90, 120)) for one in entry["object_data"]]
        np.testing.assert_array_equal(decode_masks(stored, (90, 120)), masks[kept])
    with Image.open(made / "images/train/a.jpg") as image:
        assert image.format == "JPEG" and image.size == (120, 90)


def test_photographs_in_folders(tmp_path):
    for name in ("a.jpg", "b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [(p.image_id, p.split) for p in of_folder(tmp_path)] == [("a", "train"), ("b", "train")]
    (tmp_path / "images/val").mkdir(parents=True)
    (tmp_path / "images/val/c.jpeg").write_bytes(b"")
    assert [(p.image_id, p.split) for p in of_folder(tmp_path)] == [("c", "val")]
    (tmp_path / "images/val/c.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"c\.jpeg.*c\.png"):
        of_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty.*no photograph"):
        of_folder(tmp_path / "empty")


def test_dealing_keeps_every_photograph_once(tmp_path):
    photographs = [Photograph(str(k), "train", tmp_path) for k in range(37)]
    dealt = deal(photographs, (80, 10, 10), 5)
    assert [p.image_id for p in dealt] == [p.image_id for p in photographs]
    sizes = [sum(p.split == split for p in dealt) for split in ("train", "val", "test")]
    assert sizes == [30, 3, 4]


def test_density_peak_gives_the_ranks_of_a_real_set(command, real_data, tmp_path):
    """coco_salicon_mini was ranked by this protocol, by its own makers' program."""
    mini = real_data / "coco_salicon_mini"
    made = command(
        *("--protocol", "density_peak", "--density", mini / "density"),
        objects=mini,
        fixations=mini / "fixations",
    )
    compared = 0
    for split in ("train", "val", "test"):
        for file in (mini / "rank_order" / split).iterdir():
            assert ranks(made, file.stem, split=split) == json.loads(file.read_text())["rank_order"]
            grey = [root / "gt" / split / f"{file.stem}.png" for root in (made, mini)]
            one, other = (np.asarray(Image.open(path)) for path in grey)
            assert (one == other).all()
            compared += 1
        listed = [(root / f"{split}_images.txt").read_text().split() for root in (made, mini)]
        assert listed[0] == listed[1]
    assert compared == 83
