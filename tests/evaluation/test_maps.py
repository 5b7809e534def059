"""Grey maps of other methods: made from the ground truth, all black, of any kind, or broken."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from sor_jax.evaluation.maps import evaluate_maps
from tests.inputs.fakes import made_up_record
from tests.processes import output_of
from tests.test_eval_script import write_photographs

GREYS = (255, 229, 204, 178)
BOXES = ((1, 1, 9, 9), (10, 2, 20, 12), (21, 3, 31, 15), (3, 13, 12, 23))


def record(index, count):
    """Some rectangles that do not overlap, in falling salience, and their true grey map."""
    made_up = made_up_record(index, boxes=BOXES[:count], values=(1.0, 0.9, 0.8, 0.7)[:count])
    grey = np.zeros((24, 32), np.uint8)
    for value, (x0, y0, x1, y1) in zip(GREYS, BOXES[:count], strict=False):
        grey[y0:y1, x0:x1] = value
    return dataclasses.replace(made_up, grey=grey)


RECORDS = [record(0, 4), record(1, 2), record(2, 1), record(3, 3)]


def write(folder, records, change=lambda grey: grey, ending=".png"):
    folder.mkdir(exist_ok=True)
    for each in records:
        Image.fromarray(change(each.grey)).save(folder / f"{each.image_id}{ending}")
    return folder


@pytest.mark.parametrize("kind", ["ranked", "continuous"])
@pytest.mark.parametrize(
    "change",
    [
        lambda grey: grey,
        lambda grey: grey.astype(np.uint16) * 257,
        lambda grey: np.repeat(grey[..., None], 3, axis=2),
        lambda grey: np.kron(grey, np.ones((2, 2), np.uint8)),
    ],
    ids=["8 bits", "16 bits", "colour", "twice as large"],
)
def test_maps_made_from_the_ground_truth_are_perfect(tmp_path, kind, change):
    metrics = evaluate_maps(RECORDS, write(tmp_path, RECORDS, change), kind=kind)
    # Only enlarging and shrinking by a smooth filter may cost something, at the borders.
    assert metrics["mae"] == pytest.approx(0, abs=0.03 if kind == "continuous" else 0)
    assert (metrics["sor"], metrics["images_used"], metrics["images"]) == (1.0, 4, 4)
    assert (metrics["sor_multi"], metrics["multi_images"]) == (1.0, 3)
    assert (metrics["objects_matched"], metrics["objects"]) == (10, 10)
    assert metrics["maps_scored"] == 4
    assert metrics["maps_missing"] == metrics["maps_unreadable"] == 0


@pytest.mark.parametrize("kind", ["ranked", "continuous"])
def test_an_all_black_set_uses_no_image_and_has_no_sor(tmp_path, kind):
    folder = write(tmp_path, RECORDS, np.zeros_like)
    metrics = evaluate_maps(RECORDS, folder, kind=kind, out_dir=tmp_path / "out")
    assert (metrics["images_used"], metrics["images"], metrics["sor"]) == (0, 4, None)
    assert metrics["objects_matched"] == 0
    assert metrics["mae"] == pytest.approx(np.mean([r.grey.mean() / 255 for r in RECORDS]))
    assert '"sor": null' in (tmp_path / "out/metrics.json").read_text()


def test_ranked_takes_the_most_frequent_grey_and_continuous_the_mean(tmp_path):
    """The second object: mostly darker than the first, but brighter in the mean."""
    two = RECORDS[1]
    grey = np.zeros((24, 32), np.uint8)
    grey[1:9, 1:9] = 100
    grey[2:12, 10:16] = 90  # 60 of its 100 pixels
    grey[2:12, 16:20] = 250
    folder = write(tmp_path, [dataclasses.replace(two, grey=grey)])
    assert evaluate_maps([two], folder, kind="ranked")["sor"] == 1.0
    assert evaluate_maps([two], folder, kind="continuous")["sor"] == 0.0


def test_sixteen_bits_are_not_cut_to_eight(tmp_path):
    """Two greys that differ by less than one of 256 levels."""
    two = RECORDS[1]
    grey = np.zeros((24, 32), np.uint16)
    grey[1:9, 1:9], grey[2:12, 10:20] = 30_001, 30_000
    folder = write(tmp_path, [dataclasses.replace(two, grey=grey)])
    for kind in ("ranked", "continuous"):
        assert evaluate_maps([two], folder, kind=kind)["sor"] == 1.0
    # By hand: the mean of the differences over all pixels, white being 65535.
    expected = (64 * (65535 - 30001) + 100 * (229 * 257 - 30000)) / (24 * 32) / 65535
    assert evaluate_maps([two], folder)["mae"] == pytest.approx(expected, abs=1e-12)


def test_maps_of_another_size_keep_their_levels(tmp_path):
    """A smooth resize would make greys in between, which vote inside small objects."""
    folder = write(
        tmp_path, RECORDS, lambda grey: np.asarray(Image.fromarray(grey).resize((80, 60), 0))
    )
    metrics = evaluate_maps(RECORDS, folder, kind="ranked")
    assert metrics["sor"] == 1.0 and metrics["mae"] < 0.02


def test_missing_and_unreadable_maps_are_named_and_counted(tmp_path):
    folder = write(tmp_path, RECORDS)
    (folder / "made_up_0.png").unlink()
    (folder / "made_up_2.png").write_bytes(b"no image")
    whole = (folder / "made_up_3.png").read_bytes()
    (folder / "made_up_3.png").write_bytes(whole[: len(whole) // 2])
    said = []
    metrics = evaluate_maps(RECORDS, folder, say=said.append)
    counts = [metrics[f"maps_{name}"] for name in ("scored", "missing", "unreadable")]
    assert counts == [1, 1, 2] and metrics["images"] == 1
    assert [line.split(":")[0] for line in said] == ["missing", "unreadable", "unreadable"]
    for line, name in zip(said, ("made_up_0.png", "made_up_2.png", "made_up_3.png"), strict=True):
        assert name in line


def test_no_map_at_all_is_an_error_that_says_how_they_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none of the 4 images.*made_up_0\.png"):
        evaluate_maps(RECORDS, tmp_path, say=lambda line: None)
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        evaluate_maps(RECORDS, tmp_path / "nowhere")


def test_maps_lie_in_the_sub_folders_of_their_ids_and_as_arrays(tmp_path):
    inside = [dataclasses.replace(each, image_id=f"a/{each.image_id}") for each in RECORDS[:2]]
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a/made_up_0.npy", RECORDS[0].grey)
    np.save(tmp_path / "a/made_up_1.npy", RECORDS[1].grey / 255)
    metrics = evaluate_maps(inside, tmp_path)
    assert metrics["maps_scored"] == 2 and metrics["mae"] < 1e-5 and metrics["sor"] == 1.0
    Image.fromarray(RECORDS[0].grey).save(tmp_path / "a/made_up_0.webp", lossless=True)
    with pytest.raises(ValueError, match=r"made_up_0\.npy.*made_up_0\.webp"):
        evaluate_maps(inside, tmp_path)


def test_an_exif_turn_is_heeded(tmp_path):
    two = RECORDS[1]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned = Image.fromarray(two.grey).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / f"{two.image_id}.png", exif=exif)
    metrics = evaluate_maps([two], tmp_path)
    assert metrics["mae"] == 0 and metrics["objects_matched"] == 2


def test_another_aspect_is_an_error_of_the_map_and_a_transposed_one_is_named(tmp_path):
    folder = write(tmp_path, RECORDS)
    Image.fromarray(RECORDS[0].grey.T).save(folder / "made_up_0.png")
    Image.fromarray(RECORDS[1].grey[:16]).save(folder / "made_up_1.png")
    said = []
    metrics = evaluate_maps(RECORDS, folder, say=said.append)
    assert metrics["maps_unreadable"] == 2 and metrics["maps_scored"] == 2
    assert metrics["mae"] == 0
    assert "made_up_0.png" in said[0] and "transposed" in said[0]
    assert "made_up_1.png" in said[1] and "(16, 32)" in said[1] and "(24, 32)" in said[1]


@pytest.mark.parametrize("most, warned", [(255, True), (256, False)])
def test_sixteen_bits_that_hold_eight_are_told_once(tmp_path, most, warned):
    folder = write(tmp_path, RECORDS, lambda grey: grey.astype(np.uint16))
    deep = RECORDS[0].grey.astype(np.uint16)
    deep[0, 0] = most
    Image.fromarray(deep).save(folder / "made_up_0.png")
    said = []
    evaluate_maps(RECORDS, folder, say=said.append)
    assert ["255" in line and "16 bits" in line for line in said] == [True] * warned


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda grey: grey, ""),
        (lambda grey: np.repeat(grey[..., None], 3, axis=2), ""),
        (lambda grey: (grey > 0).astype(np.uint8), "8 bits, but no value above 1"),
        (lambda grey: (grey > 0) * ((255 - grey) // 25 + 1).astype(np.uint8), "no value above 4"),
        (lambda grey: np.dstack([grey, 255 - grey, grey]), "4 maps have colours"),
    ],
    ids=["greys", "three times", "0 and 1", "ranks", "a heat map"],
)
def test_maps_that_may_mean_something_else_are_told(tmp_path, change, told):
    said = []
    evaluate_maps(RECORDS, write(tmp_path, RECORDS, change), say=said.append)
    assert [told in line for line in said] == [True] * bool(told)


def test_a_grey_map_that_jpeg_has_touched_has_no_colours(tmp_path):
    smooth = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8) * 4
    for each in RECORDS:
        Image.fromarray(smooth).convert("RGB").save(tmp_path / f"{each.image_id}.jpg", quality=30)
    said = []
    evaluate_maps(RECORDS, tmp_path, kind="continuous", say=said.append)
    assert not said


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"text"])
def test_a_file_that_is_no_array_is_not_scored(tmp_path, content):
    write(tmp_path, RECORDS[1:2])
    (tmp_path / "made_up_0.npy").write_bytes(content)
    said = []
    metrics = evaluate_maps(RECORDS[:2], tmp_path, say=said.append)
    assert metrics["maps_unreadable"] == 1 and "made_up_0.npy" in said[0]


@pytest.mark.parametrize(
    "array",
    [
        np.array([["a", "b"]]),
        np.ones((24, 32), complex),
        np.full((24, 32), np.nan),
        np.full((24, 32), 2.0),
        np.zeros((2, 24, 32)),
        -np.eye(24),
    ],
)
def test_arrays_that_are_no_maps_are_not_scored(tmp_path, array):
    write(tmp_path, RECORDS[1:2])
    np.save(tmp_path / "made_up_0.npy", array)
    said = []
    metrics = evaluate_maps(RECORDS[:2], tmp_path, say=said.append)
    assert metrics["maps_unreadable"] == 1 and "made_up_0.npy" in said[0]


def test_the_script_scores_maps_without_jax(tmp_path):
    write_photographs(tmp_path / "data")
    (tmp_path / "maps").mkdir()
    for name in ("p0", "p1"):
        with Image.open(tmp_path / f"data/gt/test/{name}.png") as grey:
            grey.resize((grey.width // 2, grey.height // 2)).save(tmp_path / f"maps/{name}.png")
    program = (
        "import runpy, sys, atexit\n"
        "atexit.register(lambda: print('jax' in sys.modules))\n"
        "runpy.run_path('eval.py', run_name='__main__')"
    )
    flags = [f"--maps={tmp_path}/maps", f"--config.data.root={tmp_path}/data", "--kind=continuous"]
    flags += [f"--config.data.cache_dir={tmp_path}/cache", f"--out={tmp_path}/out"]
    said = output_of("-c", program, *flags)
    for what in (f"missing: {tmp_path}/maps/p2.png", "1 missing", "SOR 1.000 (2 images)"):
        assert what in said
    assert said.endswith("False\n")
    assert (tmp_path / "out/metrics.json").is_file()


def test_an_accent_may_be_stored_apart_from_its_letter(tmp_path):
    for mine, theirs in (("t\u00f6", "to\u0308"), ("to\u0308", "t\u00f6")):
        folder = write(tmp_path / ascii(mine), [dataclasses.replace(RECORDS[0], image_id=theirs)])
        named = dataclasses.replace(RECORDS[0], image_id=mine)
        assert evaluate_maps([named], folder)["maps_scored"] == 1
