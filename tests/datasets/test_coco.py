"""COCO JSON with ranks: read as the same records that the ASSR layout gives, and written again."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.coco.export import to_coco
from sor_jax.datasets.coco.ranks import rank_order
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.record import rank_classes
from sor_jax.datasets.source import open_source
from tests.datasets import assr_tree
from tests.datasets.damaged import is_refused
from tests.processes import error_of, output_of

NAMES = {"two": "two.jpg", "none": "deep/er/none.jpg", "three": "three.png", "one": "one.jpg"}
KINDS = {"polygon": assr_tree.polygon, "rle": assr_tree.rle, "long rle": assr_tree.long_rle}


def coco_of(kind="polygon", *, scores=False):
    """The photographs of assr_tree as a labelling tool would write them."""
    images, annotations = [], []
    for image_id, (name, objects) in enumerate(assr_tree.IMAGES.items(), 7):
        h, w = assr_tree.IMAGE_HW
        images.append({"id": image_id, "file_name": NAMES[name], "height": h, "width": w})
        for (x0, y0, x1, y1), value in objects:
            place = round(11 - 10 * value) if value > 0.5 else None
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": 1 + len(annotations) % 3,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "segmentation": KINDS[kind]((x0, y0, x1, y1)),
                    "salience": 5.5 - place if scores and place else place,
                }
            )
    crowd = dict(annotations[0], iscrowd=1, segmentation={"size": [1, 1], "counts": [1]})
    return {"images": images, "annotations": [*annotations, crowd], "categories": []}


def write(root, content, split="train", where="{split}.json"):
    path = root / where.format(split=split)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    for name, file_name in NAMES.items():
        photo = root / "images" / file_name
        photo.parent.mkdir(parents=True, exist_ok=True)
        if not photo.exists():
            Image.fromarray(assr_tree.photograph(name)).save(photo)
    return root


def opened(root, tmp_path, split="train", **options):
    options = {"rank_field": "salience", **options}
    return open_source(
        "coco",
        root=root,
        split=split,
        cache_dir=tmp_path / "cache",
        canvas_hw=(64, 64),
        **options,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("meaning", ["places", "scores"])
def test_records_are_those_of_the_other_layout(tmp_path, kind, meaning):
    root = write(tmp_path / "coco", coco_of(kind, scores=meaning == "scores"))
    source = opened(root, tmp_path, rank_values=meaning)
    assert [source[i].image_id for i in range(len(source))] == [
        "two",
        "deep/er/none",
        "three",
        "one",
    ]
    for index, objects in enumerate(assr_tree.IMAGES.values()):
        record = source[index]
        boxes = [box for box, _ in objects]
        np.testing.assert_array_equal(record.boxes, np.float32(boxes))
        masks = decode_masks(record.masks, assr_tree.IMAGE_HW)
        np.testing.assert_array_equal(masks, [assr_tree.mask_of(box) for box in boxes])
        expected = rank_classes(np.array([value for _, value in objects]))
        np.testing.assert_array_equal(rank_classes(record.rank_order), expected)
        grey = np.zeros(assr_tree.IMAGE_HW, np.uint8)
        for box, value in sorted(objects, key=lambda thing: -assr_tree.mask_of(thing[0]).sum()):
            if value > 0.5:
                grey[assr_tree.mask_of(box)] = assr_tree.GREYS[value]
        np.testing.assert_array_equal(record.grey, grey)


@pytest.mark.parametrize(
    "where",
    [
        "annotations/instances_{split}.json",
        "annotations/{split}.json",
        "instances_{split}.json",
        "{split}/_annotations.coco.json",
    ],
)
def test_annotations_are_found_where_tools_put_them(tmp_path, where):
    root = write(tmp_path / "coco", coco_of(), where=where)
    assert len(opened(root, tmp_path)) == 4


def test_without_ranks_it_is_a_set_for_detection(tmp_path):
    source = opened(write(tmp_path / "coco", coco_of()), tmp_path, rank_field="")
    assert source[0].grey is None
    assert not any(source.rank_order(i).any() for i in range(4))


def test_crowds_with_a_rank_are_told_and_a_0_as_text_is_none(tmp_path, capfd):
    content = coco_of()
    for one in content["annotations"][:-1]:
        one["iscrowd"] = "0"
    source = opened(write(tmp_path / "coco", content), tmp_path)
    assert "1 of 1 crowds" in capfd.readouterr().err
    objects = [len(things) for things in assr_tree.IMAGES.values()]
    assert [len(source[index].boxes) for index in range(len(source))] == objects
    content["annotations"][-1]["salience"] = None
    opened(write(tmp_path / "other", content), tmp_path)
    assert "have a rank" not in capfd.readouterr().err


def test_it_is_prepared_anew_when_a_rank_changes_and_only_then(tmp_path, capfd):
    content = coco_of()
    root = write(tmp_path / "coco", content)
    first = opened(root, tmp_path)
    assert opened(root, tmp_path).directory == first.directory
    a, b = content["annotations"][:2]
    a["salience"], b["salience"] = b["salience"], a["salience"]
    again = opened(write(root, content), tmp_path)
    assert again.directory != first.directory
    np.testing.assert_array_equal(again.rank_order(0), first.rank_order(0)[::-1])


def broken(change):
    content = coco_of()
    change(content)
    return content


DAMAGE = {
    "a rank twice": (lambda c: c["annotations"][0].update(salience=1), ("salience", "[1, 1]")),
    "a gap": (lambda c: c["annotations"][0].update(salience=3), ("salience", "[3, 1]")),
    "a rank as text": (lambda c: c["annotations"][0].update(salience="2"), ("'2'", "text")),
    "no bbox": (lambda c: c["annotations"][0].pop("bbox"), ("object 0", "bbox")),
    "no mask": (lambda c: c["annotations"][0].update(segmentation=[]), ("object 0", "segment")),
    "another size": (lambda c: c["images"][0].update(height=40), ("(40, 64)", "(48, 64)")),
    "turned": (lambda c: c["images"][0].update(height=64, width=48), ("EXIF",)),
    "two of a name": (lambda c: c["images"][0].update(file_name="one.jpg"), ("one",)),
    "two of an id": (lambda c: c["images"][0].update(id=8), ("id",)),
    "an image of nobody": (lambda c: c["annotations"][0].update(image_id=99), ("99",)),
    "a path that leaves": (lambda c: c["images"][0].update(file_name="../x.jpg"), ("../x.jpg",)),
    "no photograph": (lambda c: c["images"][0].update(file_name="gone.jpg"), ("gone.jpg",)),
    "a crowd of no kind": (
        lambda c: c["annotations"][1].update(iscrowd="no"),
        ("annotations[1]", "iscrowd", "'no'"),
    ),
    "nothing but crowds": (
        lambda c: [one.update(iscrowd=1) for one in c["annotations"]],
        ("iscrowd", "0 for objects"),
    ),
    "images no list": (lambda c: c.update(images={}), ("images",)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tmp_path, name):
    change, words = DAMAGE[name]
    root = write(tmp_path / "coco", broken(change))
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        opened(root, tmp_path)
    for word in (*words, str(root)):
        assert word in str(error.value)


def test_a_hundred_damaged_files_are_refused_or_read_rightly(tmp_path):
    """One value of the file, anywhere, becomes something else."""
    rng = np.random.default_rng(0)
    junk = [None, -1, 1e9, "x", [], {}, float("nan"), True, [[1]], "../.."]
    refused = 0
    for number in range(100):
        content = coco_of()
        table = content[("images", "annotations")[rng.integers(2)]]
        entry = table[rng.integers(len(table))]
        field = list(entry)[rng.integers(len(entry))]
        entry[field] = junk[rng.integers(len(junk))]
        root = write(tmp_path / f"coco{number}", content)
        refused += is_refused(functools.partial(opened, root, tmp_path), root)
    assert refused > 30


def test_scores_rank_the_five_highest_and_ties_behind_them_do_not_matter():
    values = [3.0, None, 9.0, 1.0, 7.0, 5.0, 8.0, 1.0]
    got = rank_order(values, "scores", "s")
    np.testing.assert_allclose(got, [0.6, 0, 1.0, 0, 0.8, 0.7, 0.9, 0])
    with pytest.raises(ValueError, match="objects 0 and 1"):
        rank_order([2.0, 2.0], "scores", "s")


def test_there_and_back(tmp_path):
    root = tmp_path / "assr"
    assr_tree.write_split(root, "train")
    options = {"cache_dir": tmp_path / "cache", "canvas_hw": (64, 64), "split": "train"}
    before = open_source("assr", root=root, **options)
    content = to_coco(before[index] for index in range(len(before)))
    (root / "train.json").write_text(json.dumps(content))
    after = open_source("coco", root=root, rank_field="rank", **options)
    assert len(after) == len(before)
    for a, b in ((before[i], after[i]) for i in range(len(before))):
        assert a.image_id == b.image_id and a.masks == b.masks
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(rank_classes(a.rank_order), rank_classes(b.rank_order))


def test_a_rank_among_the_attributes_of_a_labelling_tool(tmp_path):
    """As CVAT has it: {"attributes": {"occluded": false, "rank": 2}}."""
    plain, nested = coco_of(), coco_of()
    for one in nested["annotations"]:
        one["attributes"] = {"occluded": False, "place": one.pop("salience")}
    del nested["annotations"][2]["attributes"]["place"]  # of an object without a rank
    first = opened(write(tmp_path / "plain", plain), tmp_path)
    root = write(tmp_path / "nested", nested)
    second = opened(root, tmp_path, rank_field="attributes.place")
    for index in range(4):
        np.testing.assert_array_equal(first[index].rank_order, second[index].rank_order)
    with pytest.raises(ValueError, match="attributes.occluded, attributes.place, bbox"):
        opened(root, tmp_path, rank_field="attributes.rank")


def test_of_eight_ranks_seven_objects_keep_theirs(tmp_path):
    boxes = [(3 * i, 2, 3 * i + 3, 9) for i in range(9)]
    content = {
        "images": [{"id": 1, "file_name": "one.jpg"}],
        "annotations": [
            {
                "image_id": 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "segmentation": [assr_tree.polygon((x0, y0, x1, y1))[0]],
                "rank": index + 1 if index < 7 else None,
            }
            for index, (x0, y0, x1, y1) in enumerate(boxes)
        ],
    }
    root = tmp_path / "coco"
    (root / "images").mkdir(parents=True)
    (root / "train.json").write_text(json.dumps(content))
    Image.new("RGB", (32, 16), (9, 99, 9)).save(root / "images" / "one.jpg")
    record = opened(root, tmp_path, rank_field="rank", num_ranks=8)[0]
    assert record.rank_class.tolist() == [7, 6, 5, 4, 3, 2, 1, -1, -1]
    greys = [255, 239, 223, 207, 191, 175, 159, 0, 0]
    assert record.grey[4, 1:27:3].tolist() == greys
    five = opened(root, tmp_path, rank_field="rank")[0]  # prepared apart
    assert five.rank_class.tolist() == [4, 3, 2, 1, 0, -1, -1, -1, -1]
    assert five.grey[4, 1:27:3].tolist() == [255, 229, 204, 178, 153, 0, 0, 0, 0]


def test_a_field_that_nobody_has_is_named_with_those_that_are_there(tmp_path):
    with pytest.raises(ValueError, match=r"'rnak'.*salience"):
        opened(write(tmp_path / "coco", coco_of()), tmp_path, rank_field="rnak")


def test_a_root_without_annotations_names_what_lies_there(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="result.json"):
        opened(tmp_path, tmp_path)


def test_the_command_exports(tmp_path):
    root = tmp_path / "assr"
    assr_tree.write_split(root, "train")
    command = ("data/coco/export.py", "--out", tmp_path / "o.json", "--root")
    assert "4 photographs, 8 objects, 6" in output_of(*command, root)
    assert "nowhere" in error_of(*command, tmp_path / "nowhere")
