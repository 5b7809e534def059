"""Lists and file names as people write them."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets import assr
from sor_jax.datasets.names import ById, canonical
from sor_jax.datasets.source import RecordSource
from tests.datasets import assr_tree

NUMBERED = {"000000000100": assr_tree.IMAGES["two"], "000000000200": assr_tree.IMAGES["one"]}


def opened(root, tmp_path, **options):
    builder = assr.builder(root, "train", cache_dir=tmp_path / "cache", **options)
    source = RecordSource(builder.data_dir, "train")
    return [source[index] for index in range(len(source))]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le bom"])
@pytest.mark.parametrize("name", ["train_images.txt", "obj_seg_data_train.json", "ranks"])
def test_lists_of_any_editor_are_read(tmp_path, encoding, name):
    assr_tree.write_split(tmp_path / "files", "train", {"é": assr_tree.IMAGES["two"]})
    name = "rank_order/train/é.json" if name == "ranks" else name
    path = tmp_path / "files" / name
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
    if encoding.endswith("bom"):  # as PowerShell writes it
        path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    else:
        path.write_bytes(text.encode(encoding))
    assert [record.image_id for record in opened(tmp_path / "files", tmp_path)] == ["é"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
def test_a_list_that_cannot_be_read_is_named(tmp_path, encoding):
    assr_tree.write_split(tmp_path / "files", "train", {"é": assr_tree.IMAGES["two"]})
    (tmp_path / "files/train_images.txt").write_bytes("é\n".encode(encoding))
    with pytest.raises(ValueError, match=r"train_images\.txt.*UTF-8"):
        opened(tmp_path / "files", tmp_path)


@pytest.mark.parametrize(
    "listed", ["100 200", "100.0 200.0", "000000000100.jpg 200.jpg", "0100 200"]
)
@pytest.mark.parametrize("kind", [int, float, str])
def test_numbers_as_ids_match(tmp_path, listed, kind):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train", NUMBERED)
    (root / "train_images.txt").write_text(listed.replace(" ", "\n"))
    path = root / "obj_seg_data_train.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entry | {"img": kind(int(entry["img"]))} for entry in entries]))
    records = opened(root, tmp_path)
    for record, objects in zip(records, NUMBERED.values(), strict=True):
        np.testing.assert_array_equal(record.boxes, np.float32([box for box, _ in objects]))


def test_an_id_that_could_be_two_is_refused_with_both(tmp_path):
    entries = ById([("100", 1), ("0100", 2), (7, 3)], "some.json")
    assert (entries["100"], entries["0100"], entries["007"]) == (1, 2, 3)
    with pytest.raises(KeyError, match="00100.*100 and 0100"):
        entries["00100"]
    with pytest.raises(KeyError, match="no entry for x; it has 100, 0100, 7"):
        entries["x"]
    with pytest.raises(ValueError, match="some.json: 7 has 2 entries"):
        ById([(7, 1), (7.0, 2)], "some.json")
    with pytest.raises(ValueError, match="some.json: an image id is None"):
        ById([(None, 1)], "some.json")
    for wrong in (True, None, [1]):
        with pytest.raises(ValueError, match="expected text or a number"):
            canonical(wrong)


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".png", ".PNG", ".webp", ".bmp"])
def test_photographs_of_other_endings(tmp_path, suffix):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    for image_id in assr_tree.IMAGES:
        file = root / f"images/train/{image_id}.jpg"
        with Image.open(file) as image:
            pixels = np.array(image)
        if suffix.lower() not in (".jpg", ".jpeg"):
            Image.fromarray(pixels).save(file.with_suffix(suffix), lossless=True)
            file.unlink()
        else:
            file.rename(file.with_suffix(suffix))
    records = opened(root, tmp_path)
    assert [record.image_id for record in records] == list(assr_tree.IMAGES)
    np.testing.assert_array_equal(records[-1].image, pixels)


def test_an_accent_may_be_stored_apart_from_its_letter(tmp_path):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    for name in ("train_images.txt", "obj_seg_data_train.json"):  # composed in the lists
        (root / name).write_text((root / name).read_text().replace("two", "tw\u00f6"))
    for path in [*root.rglob("two.*")]:  # and apart in the folders
        path.rename(path.with_stem("two\u0308"))
    source = opened(root, tmp_path)
    assert "tw\u00f6" in [source[index].image_id for index in range(len(source))]


def test_what_lies_there_instead_is_said(tmp_path):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    file = root / "images/train/two.jpg"
    file.rename(file.with_suffix(".gif"))
    with pytest.raises(FileNotFoundError, match=r"two\.jpg .*two\.gif"):
        opened(root, tmp_path)
    file.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="link"):
        opened(root, tmp_path)
    shutil.rmtree(root / "images/train")
    with pytest.raises(FileNotFoundError, match="no folder .*images/train"):
        opened(root, tmp_path)
