"""IRSR and SIFR, from made-up folders in exactly their formats; the real files are not here."""

import collections
import copy
import functools
import pickle

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.caches import caches
from sor_jax.datasets.masks import decode_masks
from sor_jax.datasets.source import open_source
from sor_jax.evaluation.truth import truth_of
from sor_jax.metrics.scoreboard import Prediction, score
from tests.convert.test_hostile import attacks
from tests.datasets import assr_tree, graded_tree
from tests.datasets.damaged import is_refused
from tests.datasets.graded_tree import CROWD, PHOTOGRAPHS, write_irsr, write_sifr
from tests.processes import output_of

WRITERS = {"irsr": write_irsr, "sifr": write_sifr}
CONTENT = {"irsr": graded_tree.irsr_content, "sifr": graded_tree.sifr_content}


def opened(name, root, tmp_path, split="train", num_ranks=8, **options):
    return open_source(
        name,
        root=root,
        split=split,
        cache_dir=tmp_path / "cache",
        canvas_hw=(64, 64),
        num_ranks=num_ranks,
        **options,
    )


def places(ranks):
    """Place of each rank, 0 = most salient, None of none."""
    order = sorted((rank for rank in ranks if rank >= 0), reverse=True)
    return [order.index(rank) if rank >= 0 else None for rank in ranks]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("num_ranks", [5, 8])
def test_records_are_what_the_files_say(tmp_path, name, num_ranks):
    source = opened(name, WRITERS[name](tmp_path / name), tmp_path, num_ranks=num_ranks)
    assert len(source) == 3
    for record, (image_id, objects) in zip(
        (source[i] for i in range(3)), PHOTOGRAPHS.items(), strict=True
    ):
        assert record.image_id == image_id
        masks = decode_masks(record.masks, assr_tree.IMAGE_HW)
        np.testing.assert_array_equal(masks, [assr_tree.mask_of(box) for box, _ in objects])
        np.testing.assert_array_equal(record.boxes, np.float32([box for box, _ in objects]))
        want = [
            num_ranks - 1 - place if place is not None and place < num_ranks else -1
            for place in places([rank for _, rank in objects])
        ]
        assert record.rank_class.tolist() == want
        np.testing.assert_array_equal(record.rank_order > 0.5, [r >= 0 for _, r in objects])
        np.testing.assert_array_equal(record.grey, graded_tree.grey_of(objects))


@pytest.mark.parametrize("name", WRITERS)
def test_every_salient_object_counts_rank_0_and_the_seventh_too(tmp_path, name):
    """A prediction of the true masks in the true order, by a model of five ranks."""
    source = opened(name, WRITERS[name](tmp_path / name), tmp_path, num_ranks=5)
    record = source[2]
    order = np.argsort(-record.rank_order)[:5]
    masks = decode_masks(record.masks, assr_tree.IMAGE_HW)
    prediction = Prediction(
        xyxy=record.boxes[order],
        score=np.ones(5),
        mask_score=np.ones(5),
        encoded=[record.masks[i] for i in order],
        ranked=np.arange(5),
        masks=masks[order],
        rank_class=4 - np.arange(5),
    )
    row = score(truth_of(record), prediction).row
    assert row["objects"] == 7 and row["matched"] == 5
    assert row["rho"] == pytest.approx(1)
    # Five of seven objects take places 3..7's order; the two least salient take none.
    own = np.arange(7, 0, -1)
    taken = [5, 4, 3, 2, 1, 0, 0]
    assert row["sa_sor"] == pytest.approx(np.corrcoef(own, taken)[0, 1])


def test_more_than_eight_objects_are_left_out_of_irsrs_training_alone(tmp_path, capsys):
    photographs = PHOTOGRAPHS | CROWD
    for split in ("train", "test"):
        write_irsr(tmp_path / "irsr", split, photographs)
        write_sifr(tmp_path / "sifr", split, photographs)
    assert len(opened("irsr", tmp_path / "irsr", tmp_path)) == 3
    assert "1 photographs with more than 8 objects" in capsys.readouterr().err
    record = opened("irsr", tmp_path / "irsr", tmp_path, "test")[3]
    assert (record.rank_order > 0.5).sum() == 9
    assert sorted(record.rank_class) == [-1, *range(8)]
    assert record.rank_class[0] == -1  # the ninth has no class, and is ranked all the same
    for split in ("train", "test"):
        assert len(opened("sifr", tmp_path / "sifr", tmp_path, split)) == 4


def as_numpy_1(content, *, protocol=2):
    """The pickle that numpy 1 would write of it, with numpy's numbers and arrays in it."""
    content = copy.deepcopy(content)
    for entry in content:
        entry["rank"] = list(np.int64(entry["rank"]))
        for one in entry["annotations"]:
            one["bbox"] = np.array(one["bbox"], np.float64)
            one["segmentation"] = [np.float32(part) for part in one["segmentation"]]
    dumped = pickle.dumps(content, protocol)
    found = dumped.replace(b"cnumpy._core.", b"cnumpy.core.")
    assert b"cnumpy.core.multiarray\nscalar" in found and b"_core" not in found
    return found


def test_a_pickle_of_numpy_1_gives_the_same_records(tmp_path):
    plain = opened("irsr", write_irsr(tmp_path / "plain"), tmp_path)
    body = as_numpy_1(graded_tree.irsr_content(PHOTOGRAPHS))
    other = opened("irsr", write_irsr(tmp_path / "numpy", content=body), tmp_path)
    for index in range(3):
        a, b = plain[index], other[index]
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.rank_order, b.rank_order)
        assert a.masks == b.masks


def test_compressed_runs_as_bytes_and_ordered_dicts_are_read(tmp_path):
    content = graded_tree.irsr_content(PHOTOGRAPHS, assr_tree.rle)
    for entry in content:
        for one in entry["annotations"]:
            one["segmentation"]["counts"] = one["segmentation"]["counts"].encode()
    content = [collections.OrderedDict(entry) for entry in content]
    source = opened("irsr", write_irsr(tmp_path / "irsr", content=content), tmp_path)
    masks = decode_masks(source[0].masks, assr_tree.IMAGE_HW)
    boxes = [box for box, _ in next(iter(PHOTOGRAPHS.values()))]
    np.testing.assert_array_equal(masks, [assr_tree.mask_of(box) for box in boxes])


@pytest.mark.parametrize("how", attacks("x"))
def test_a_hostile_pickle_runs_nothing(tmp_path, how):
    trap = tmp_path / "sprung"
    write_irsr(tmp_path / "irsr", content=attacks(trap)[how])
    with pytest.raises(ValueError, match="train.pkl.*asks for"):
        opened("irsr", tmp_path / "irsr", tmp_path)
    assert not trap.exists()


def cycle():
    entry = {}
    entry["self"] = [entry]
    return [entry]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "expected a list of photographs"),
        ([], "lists no photograph"),
        ([1], "expected a list of photographs"),
        ([{"rank": [], "annotations": []}], "'file_name'"),
        ([{"file_name": "a.jpg", "annotations": []}], "'rank'"),
        ([{"file_name": "a.jpg", "rank": []}] * 2, "'annotations'"),
        ([{"file_name": "a.jpg", "rank": [], "annotations": []}] * 2, "a.jpg' again"),
        (cycle(), "holds itself"),
        (b"\x80\x04", "damaged"),
        (b"", "damaged"),
        (b"{}", "damaged"),
    ],
)
def test_a_pickle_of_something_else_is_told(tmp_path, content, said):
    root = write_irsr(tmp_path / "irsr", content=content)
    with pytest.raises(ValueError, match=said) as error:
        opened("irsr", root, tmp_path)
    assert "train.pkl" in str(error.value)


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_wrong_with_a_record_is_told(tmp_path, name):
    for number, (ranks, said) in enumerate(
        [([1, 1], "same rank, 1"), (["1", 0], "a text"), ([None, 0], "object 0 has no rank")]
    ):
        objects = [(box, rank) for (box, _), rank in zip(_two(), ranks, strict=True)]
        root = tmp_path / f"{number}"
        WRITERS[name](root, content=CONTENT[name]({"COCO_train2014_000000000001": objects}))
        with pytest.raises(ValueError, match=f"COCO_train2014_000000000001: .*{said}"):
            opened(name, root, tmp_path)
    root = tmp_path / "black"
    WRITERS[name](root)
    for file in root.rglob("gt/*1.png"):
        Image.new("L", assr_tree.IMAGE_HW[::-1]).save(file)
    with pytest.raises(ValueError, match="all black"):
        opened(name, root, tmp_path)


def _two():
    return PHOTOGRAPHS["COCO_train2014_000000000001"]


def test_an_unequal_number_of_ranks_is_told(tmp_path):
    content = graded_tree.irsr_content(PHOTOGRAPHS)
    content[0]["rank"].append(2)
    with pytest.raises(ValueError, match="2 objects but 3 ranks"):
        opened("irsr", write_irsr(tmp_path / "irsr", content=content), tmp_path)


def _junk(rng):
    some = [None, -1, 1e9, "x", [], {}, float("nan"), True, [[1]], "../..", 10**30, 0]
    return some[rng.integers(len(some))]


def _spoil(content, rng):
    """One value of the content, anywhere, becomes something else."""
    holder, key = content, int(rng.integers(len(content)))
    while rng.random() < 0.8 and isinstance(holder[key], list | dict) and holder[key]:
        holder = holder[key]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = list(keys)[rng.integers(len(keys))]
    holder[key] = _junk(rng)


@pytest.mark.parametrize("name", WRITERS)
def test_a_hundred_damaged_files_are_refused_or_read_rightly(tmp_path, name):
    rng, refused = np.random.default_rng(0), 0
    for number in range(100):
        content = CONTENT[name](PHOTOGRAPHS)
        _spoil(content, rng)
        root = tmp_path / f"{number}"
        WRITERS[name](root, content=content)
        refused += is_refused(functools.partial(opened, name, root, tmp_path), root)
    assert 50 < refused < 100


def test_a_hundred_damaged_pickles_end_in_an_error_or_a_record(tmp_path):
    """One byte, or the end, of the file changes."""
    rng, refused = np.random.default_rng(1), 0
    body = as_numpy_1(graded_tree.irsr_content(PHOTOGRAPHS))
    root = write_irsr(tmp_path / "irsr", content=body)
    for _ in range(100):
        changed = bytearray(body)
        at = rng.integers(len(body))
        if rng.random() < 0.2:
            del changed[at:]
        else:
            changed[at] = rng.integers(256)
        (root / "Annotations" / "train.pkl").write_bytes(changed)
        refused += is_refused(lambda: opened("irsr", root, tmp_path), root)
    assert refused > 20


@pytest.mark.parametrize("name", WRITERS)
def test_the_look_at_a_data_set_knows_it(tmp_path, name):
    WRITERS[name](tmp_path / name, "train", PHOTOGRAPHS | CROWD)
    folders = ("--out", tmp_path / "out", "--cache_dir", tmp_path / "cache")
    spread = "1 with 1, 1 with 2, 1 with 7" + (", 1 with 9" if name == "sifr" else "")
    assert spread in output_of("data/check.py", tmp_path / name, *folders)


@pytest.mark.parametrize("name", WRITERS)
def test_the_cache_knows_who_uses_it(tmp_path, name):
    root = WRITERS[name](tmp_path / name)
    opened(name, root, tmp_path)
    (found,) = caches(tmp_path / "cache")
    assert found.used_by == (str(root),) and not found.why_not
    next(root.rglob("rgb/*1.jpg")).write_bytes(assr_tree.jpeg(assr_tree.photograph("another")))
    (found,) = caches(tmp_path / "cache")
    assert "has changed" in found.why_not
