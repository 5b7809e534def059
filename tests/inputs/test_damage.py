"""Damaged records, and reader processes that die."""

import os
import signal
import time

import numpy as np
import pytest

from sor_jax.datasets import assr
from sor_jax.datasets.source import RecordSource, open_source
from sor_jax.inputs.damage import reasons
from sor_jax.inputs.eval_batches import eval_batches
from sor_jax.inputs.loader import train_iterator
from tests.datasets import assr_tree
from tests.datasets.test_assr_damage import DAMAGE
from tests.inputs.damaged import KINDS, Stored, damaged, good
from tests.inputs.fakes import FakeSource

SIZE = {"canvas_hw": (32, 32), "max_objects": 3}
COUNT = 100


def name(record):
    return record["image_id"].decode()


def test_each_of_a_hundred_damaged_records_raises_under_its_name():
    assert len(KINDS) == 30
    for record in map(damaged, range(COUNT)):
        iterator = train_iterator(Stored([record]), batch_size=1, seed=0, **SIZE)
        with pytest.raises(ValueError) as error:
            next(iterator)
        iterator.close()
        assert str(error.value).startswith(f"fuzz.file, record {name(record)}: "), str(error.value)
        assert len(str(error.value)) > len(f"fuzz.file, record {name(record)}: ") + 5


def skipped(records, num_workers):
    """One pass over the records: (images that are there, reasons of those that are not)."""
    iterator = train_iterator(
        Stored(records), batch_size=20, seed=0, num_workers=num_workers, on_error="skip", **SIZE
    )
    batches = [next(iterator) for _ in range(len(records) // 20)]
    iterator.close()
    return batches, [reason for batch in batches for reason in reasons(batch)]


def test_each_is_skipped_by_any_reader_and_told():
    bad, fine = [damaged(i) for i in range(COUNT)], [good(f"good {i}") for i in range(20)]
    records = [record for pair in zip(bad[:20], fine, strict=True) for record in pair] + bad[20:]
    batches, why = skipped(records, num_workers=2)
    assert sum(batch["valid"].sum() for batch in batches) == 20
    assert len(why) == COUNT
    told = {reason.split(": ")[0] for reason in why}
    assert told == {f"fuzz.file, record {name(record)}" for record in bad}
    for batch in batches:
        gone = ~batch["valid"]
        np.testing.assert_array_equal(gone, batch["damage"] != b"")
        assert not batch["image"][gone].any() and not batch["gt_valid"][gone].any()
        np.testing.assert_array_equal(batch["valid_hw"][gone], [[32, 32]] * gone.sum())
    for ours, theirs in zip(batches, skipped(records, num_workers=0)[0], strict=True):
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_a_damaged_record_moves_no_other():
    options = {"batch_size": 4, "seed": 1, **SIZE}
    plain = train_iterator(FakeSource(10), **options)
    holed = train_iterator(FakeSource(10, broken=(2, 7)), on_error="skip", **options)
    for _ in range(6):
        want, got = next(plain), next(holed)
        there = got["valid"]
        np.testing.assert_array_equal(got["image"][there], want["image"][there])
        assert set(want["image"][~there][:, 0, 0, 0]) <= {2, 7}
    plain.close()
    holed.close()


def test_evaluation_leaves_them_out_and_tells(caplog):
    source = FakeSource(7, broken=(1, 6))
    got = list(eval_batches(source, batch_size=3, on_error="skip", **SIZE))
    ids = [[record.image_id[-1] for record in records] for _, records in got]
    assert ids == [["0", "2"], ["3", "4", "5"], []]
    assert [batch["valid"].tolist() for batch, _ in got] == [
        [True, True, False],
        [True, True, True],
        [False, False, False],
    ]
    assert "left out: fake.file, record made_up_1: broken" in caplog.text


def test_an_unknown_choice_is_named():
    for make in (train_iterator, eval_batches):
        with pytest.raises(ValueError, match="on_error .*'ignore'.*'raise'.*'skip'"):
            options = {"batch_size": 1, "on_error": "ignore", **SIZE}
            next(make(FakeSource(1), **options, **({"seed": 0} if make is train_iterator else {})))


PER_RECORD = [
    kind
    for kind in DAMAGE
    if not kind.startswith(("annotations", "no annotations", "an image twice", "an empty list"))
    and kind != "an image without an entry"
]


@pytest.mark.parametrize("kind", PER_RECORD)
def test_preparing_leaves_a_damaged_record_out(tmp_path, kind, caplog):
    root = tmp_path / "files"
    assr_tree.write_split(root, "train")
    change, parts = DAMAGE[kind]
    change(root)
    options = {"root": root, "cache_dir": tmp_path / "cache", "canvas_hw": (64, 64)}
    source = open_source("assr", split="train", on_error="skip", **options)
    assert [source[i].image_id for i in range(len(source))] == ["none", "three", "one"]
    (reason,) = source.left_out
    assert all(part in reason for part in parts)
    assert f"left out: {reason}" in caplog.text
    with pytest.raises((ValueError, FileNotFoundError)):
        open_source("assr", split="train", **options)


def test_a_whole_folder_leaves_nothing_out(tmp_path):
    assr_tree.write_split(tmp_path / "files", "train")
    for on_error in ("raise", "skip"):
        builder = assr.builder(
            tmp_path / "files", "train", cache_dir=tmp_path / "c", on_error=on_error
        )
        source = RecordSource(builder.data_dir, "train")
        assert source.left_out == [] and len(source) == 4


class Deadly(FakeSource):
    """Ends the process that reads the fourth record."""

    def __getitem__(self, index):
        if index == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_a_reader_process_that_dies_is_reported():
    iterator = train_iterator(
        Deadly(8), batch_size=1, seed=0, shuffle=False, num_workers=1, on_error="skip", **SIZE
    )
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="-9 .*config.data.num_workers"):
        for _ in range(8):
            next(iterator)
    assert time.monotonic() - start < 60
    iterator.close()
