"""Files of fixations: what is read of each kind, and that what is damaged is named."""

import json
import random
import re

import numpy as np
import pytest
import scipy.io
from PIL import Image

from sor_jax.datasets.fixations.sources import DensitySource, FixationSource, match

HW = (30, 40)
ENTRY = {
    "img": "a",
    "size": [40, 30],
    "fixations": [[[1.5, 2.5, 100], [30, 20, 250]], [], [[5, 5, 90]]],
}
CSV = """image,person,x,y,t,duration
a.jpg,ann,30,20,2,250
a.jpg,bob,5,5,1,90
a.jpg,ann,1.5,2.5,1,100
"""
OBSERVERS = (np.asarray([[2, 3], [31, 21]]), np.zeros((0, 2)))


def write_mat(path, paths=OBSERVERS, **fields):
    kinds = [("location", "O"), ("timestamp", "O"), ("fixations", "O")]
    gaze = np.zeros((len(paths), 1), kinds)
    for index, fixations in enumerate(paths):
        gaze[index, 0] = (fixations, np.zeros((len(fixations), 1)), fixations)
    content = {"image": "a", "resolution": np.asarray([HW]), "gaze": gaze} | fields
    scipy.io.savemat(path, content)


def write_map(path, hw=HW, points=((2, 1), (20, 30)), value=255):
    grey = np.zeros(hw, np.uint8)
    for row, column in points:
        grey[row, column] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


def test_scanpaths_in_json(tmp_path):
    (tmp_path / "f.json").write_text(json.dumps([ENTRY]))
    source = FixationSource(tmp_path / "f.json")
    looks = source.of("a", HW)
    assert source.ids() == {"a"}
    assert looks.xy.tolist() == [[1.5, 2.5], [30, 20], [5, 5]]
    assert looks.person.tolist() == [0, 0, 2] and looks.num_people == 3 and looks.is_ordered
    assert looks.duration.tolist() == [100, 250, 90]


def test_points_of_all_people_in_json(tmp_path):
    entries = [{"img": "a", "looked_at": [[1, 2], [3.5, 4]]}, {"img": "b", "looked_at": []}]
    (tmp_path / "f.json").write_text(json.dumps(entries))
    source = FixationSource(tmp_path / "f.json")
    looks = source.of("a", HW)
    assert looks.xy.tolist() == [[1, 2], [3.5, 4]]
    assert looks.person is None and looks.num_people == 0 and not looks.is_ordered
    assert len(source.of("b", HW).xy) == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_put_in_order_by_t(tmp_path, delimiter):
    (tmp_path / "f.csv").write_text("\ufeff" + CSV.replace(",", delimiter), encoding="utf-8")
    looks = FixationSource(tmp_path / "f.csv").of("a", HW)
    assert looks.num_people == 2 and looks.is_ordered
    ann = looks.person == 0
    assert looks.xy[ann].tolist() == [[1.5, 2.5], [30, 20]]
    assert looks.duration[ann].tolist() == [100, 250]


def test_a_table_without_persons_or_times(tmp_path):
    (tmp_path / "f.csv").write_text("x,y,image,weather\n1,2,a,wet\n\n3,4,b,dry\n")
    source = FixationSource(tmp_path / "f.csv")
    assert source.ids() == {"a", "b"}
    looks = source.of("a", HW)
    assert looks.person is None and looks.duration is None and not looks.is_ordered


def test_salicon_files_count_pixels_from_one(tmp_path):
    (tmp_path / "train").mkdir()
    write_mat(tmp_path / "train/a.mat")
    source = FixationSource(tmp_path)
    looks = source.of("a", HW)
    assert looks.pixels().tolist() == [[2, 1], [20, 30]]  # row, column from 0
    assert looks.num_people == 2 and looks.is_ordered and looks.duration is None


def test_maps_of_fixations(tmp_path):
    write_map(tmp_path / "val" / "a.png")
    looks = FixationSource(tmp_path).of("a", HW)
    assert looks.pixels().tolist() == [[2, 1], [20, 30]] and looks.person is None


def test_a_density_of_half_the_size_is_scaled(tmp_path):
    grey = np.zeros((15, 20), np.uint8)
    grey[:, 10:] = 200
    Image.fromarray(grey).save(tmp_path / "a.png")
    density = DensitySource(tmp_path).of("a", HW)
    assert density.shape == HW and density[5, 5] == 0 and density[5, 35] == 200
    assert 0 < density[5, 20] < 200
    with pytest.raises(ValueError, match=r"a\.png.*\(15, 20\).*\(40, 40\)"):
        DensitySource(tmp_path).of("a", (40, 40))


def test_a_density_of_sixteen_bits_and_one_with_colours(tmp_path):
    deep = np.full(HW, 3000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert DensitySource(tmp_path).of("a", HW)[3, 3] == 3000
    Image.fromarray(np.full((*HW, 3), (1, 2, 3), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png.*colours"):
        DensitySource(tmp_path).of("b", HW)


def test_ids_are_matched_by_name_or_by_number():
    there = {"COCO_train2014_000000000009", "COCO_val2014_000000000042"}
    assert match(["000000000009"], there, by_number=False) == {}
    found = match(["000000000009", "7", "no"], there, by_number=True)
    assert found == {"000000000009": "COCO_train2014_000000000009"}
    with pytest.raises(ValueError, match="x_9.*y_9"):
        match(["9"], {"x_9", "y_9"}, by_number=True)


def entry(**fields):
    return json.dumps([ENTRY | fields])


DAMAGE = {
    "cut off": ("f.json", entry()[:-20], ["f.json", "JSON"]),
    "another value": ("f.json", "{}", ["f.json", "expected a list", "looked_at"]),
    "no list of entries": ("f.json", '["a"]', ["f.json", "entry 0", "'a'"]),
    "no id": ("f.json", '[{"fixations": []}]', ["f.json", "entry 0", "img"]),
    "an image twice": ("f.json", json.dumps([ENTRY, ENTRY]), ["f.json", "entry 1", "a second"]),
    "no fixations": ("f.json", '[{"img": "a"}]', ["f.json", "a", "looked_at"]),
    "a word": ("f.json", entry(fixations=[[["x", 1]]]), ["f.json", "person 0, fixation 0", "'x'"]),
    "one number": ("f.json", entry(fixations=[[], [[5]]]), ["person 1, fixation 0", "[5]"]),
    "a huge number": ("f.json", entry(fixations=[[[10**400, 1]]]), ["person 0", "fixation 0"]),
    "not a number": ("f.json", entry(fixations=[[[float("nan"), 1]]]), ["person 0", "nan"]),
    "people in a dict": ("f.json", entry(fixations={"p": []}), ["f.json", "one a person"]),
    "some with duration": ("f.json", entry(fixations=[[[1, 2]], [[1, 2, 3]]]), ["duration"]),
    "mixed in one person": ("f.json", entry(fixations=[[[1, 2, 3], [1, 2]]]), ["fixation 1"]),
    "negative duration": ("f.json", entry(fixations=[[[1, 2, -3]]]), ["-3", "milliseconds"]),
    "another size": ("f.json", entry(size=[80, 60]), ["f.json, a", "(60, 80)", "(30, 40)"]),
    "a size of words": ("f.json", entry(size="big"), ["size is 'big'", "[width, height]"]),
    "fractions": ("f.json", entry(fixations=[[[0.2, 0.9]]]), ["f.json", "fractions", "pixels"]),
    "an empty table": ("f.csv", "", ["f.csv", "image, x, y"]),
    "only a header": ("f.csv", "image,x,y\n", ["f.csv", "only a header"]),
    "no y": ("f.csv", "image,x\na,1\n", ["f.csv", "no column y"]),
    "a value too few": ("f.csv", CSV + "a,ann,1\n", ["f.csv, line 5", "3 values"]),
    "x is empty": ("f.csv", CSV + "a,ann,,2,3,4\n", ["f.csv, line 5", "x is ''"]),
    "t is a word": ("f.csv", CSV + "a,ann,1,2,soon,4\n", ["f.csv, line 5", "t is 'soon'"]),
    "no person": ("f.csv", CSV + "a,,1,2,3,4\n", ["f.csv, line 5", "person is empty"]),
    "a duration below 0": ("f.csv", CSV + "a,ann,1,2,3,-4\n", ["line 5", "duration is '-4'"]),
    "another kind of file": ("f.xlsx", "PK", ["f.xlsx", ".json or .csv"]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_named(tmp_path, name):
    file, text, words = DAMAGE[name]
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError) as error:
        FixationSource(tmp_path / file).of("a", HW)
    assert str(tmp_path) in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["missing.json", "missing"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        FixationSource(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=name):
        DensitySource(tmp_path / name)


def test_damaged_files_of_a_folder_are_named(tmp_path):
    for folder in ("mat", "map", "twice", "empty"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=r"empty.*holds no file"):
        FixationSource(tmp_path / "empty")
    scipy.io.savemat(tmp_path / "mat/a.mat", {"fixations": np.ones((2, 2))})
    (tmp_path / "mat/b.mat").write_bytes(b"MATLAB 5.0" * 30)
    write_mat(tmp_path / "mat/c.mat", paths=[np.ones((2, 3))])
    write_mat(tmp_path / "mat/d.mat", resolution=np.asarray([[60, 80]]))
    source = FixationSource(tmp_path / "mat")
    for image_id, word in {"a": "gaze", "b": "MATLAB", "c": "n x 2", "d": r"\(60, 80\)"}.items():
        with pytest.raises(ValueError, match=rf"{image_id}\.mat(.|\n)*{word}"):
            source.of(image_id, HW)
    Image.fromarray(np.full(HW, 9, np.uint8)).save(tmp_path / "map/smooth.png")
    write_map(tmp_path / "map/small.png", hw=(15, 20), points=[(2, 2)])
    (tmp_path / "map/text.png").write_text("hello")
    source = FixationSource(tmp_path / "map")
    for image_id, word in {"smooth": "--density", "small": "15, 20", "text": "readable"}.items():
        with pytest.raises(ValueError, match=rf"{image_id}\.png.*{word}"):
            source.of(image_id, HW)
    write_map(tmp_path / "twice/train/a.png")
    write_map(tmp_path / "twice/val/a.png")
    with pytest.raises(ValueError, match=r"train.a\.png.*val.a\.png"):
        FixationSource(tmp_path / "twice")


def broken(content: bytes, rng: random.Random) -> bytes:
    """Bytes that were changed, cut, doubled or swapped for others."""
    content, kind = bytearray(content), rng.randrange(4)
    start = rng.randrange(len(content))
    if kind == 0:
        return bytes(content[:start])
    if kind == 1:
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == 2:
        content[start:start] = content[start : start + rng.randrange(1, 30)]
    else:
        del content[start : start + rng.randrange(1, 12)]
    return bytes(content)


@pytest.mark.parametrize("kind", ["json", "csv", "mat", "png"])
def test_a_hundred_damaged_files_are_refused_by_name_or_read(tmp_path, kind):
    """Whatever the damage: a ValueError with the file, or finite fixations of people that exist."""
    file = tmp_path / f"a.{kind}"
    if kind == "mat":
        write_mat(file)
    elif kind == "png":
        write_map(file)
    else:
        file.write_text(json.dumps([ENTRY]) if kind == "json" else CSV)
    whole, refused = file.read_bytes(), 0
    place = file if kind in ("json", "csv") else tmp_path
    for seed in range(100):
        file.write_bytes(broken(whole, random.Random(seed)))
        try:
            source = FixationSource(place)
            found = [source.of(image_id, HW) for image_id in source.ids()]
        except ValueError as error:
            refused += 1
            assert re.search(rf"a\.{kind}", str(error)), (seed, error)
        else:
            for looks in found:
                assert np.isfinite(looks.xy).all() and (np.abs(looks.xy) <= 1e9).all(), seed
                if looks.person is not None:
                    assert looks.person.max(initial=-1) < looks.num_people, seed
    assert refused > 10
