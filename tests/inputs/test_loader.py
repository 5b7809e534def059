"""Order, sharding, workers, resuming and errors of the training iterator; evaluation batches."""

import collections
import dataclasses
import json

import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from sor_jax.inputs import worker
from sor_jax.inputs.eval_batches import eval_batches
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.shard import shard_of
from tests.inputs.fakes import FakeSource

SIZE = {"canvas_hw": (32, 32), "max_objects": 3}


def batches(count, source=None, **options):
    options = {"batch_size": 4, "seed": 1} | SIZE | options
    iterator = train_iterator(source or FakeSource(10), **options)
    try:
        return [next(iterator) for _ in range(count)]
    finally:
        iterator.close()


def ids(batch):
    return batch["image"][:, 0, 0, 0].tolist()


def order(count, *args, **options):
    return [i for batch in batches(count, *args, shuffle=True, **options) for i in ids(batch)]


def assert_same(got, want):
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_batch_has_the_promised_arrays():
    (batch,) = batches(1, max_edges=8)
    assert {key: (value.shape, value.dtype) for key, value in batch.items()} == {
        "image": ((4, 32, 32, 3), np.uint8),
        "valid_hw": ((4, 2), np.int32),
        "valid": ((4,), bool),
        "gt_boxes": ((4, 3, 4), np.float32),
        "gt_valid": ((4, 3), bool),
        "gt_rank_class": ((4, 3), np.int32),
        "gt_masks": ((4, 3, 32, 32), np.uint8),
        "gt_has_mask": ((4, 3), bool),
        "gt_edges": ((4, 3, 8, 4), np.float32),
        "gt_edge_part": ((4, 3, 8), np.int32),
        "gt_edge_valid": ((4, 3, 8), bool),
        "objects_left_out": ((4,), np.int32),
    }
    assert batch["valid"].all()
    np.testing.assert_array_equal(batch["gt_rank_class"], [[4, 3, -1]] * 4)


def test_every_image_once_before_any_again():
    seen = order(10)  # four passes over ten images, whose ends fall inside of batches
    passes = [seen[i : i + 10] for i in range(0, 40, 10)]
    for one in passes:
        assert sorted(one) == list(range(10))
    assert len({tuple(one) for one in passes}) == 4  # each pass in an order of its own


def test_order_depends_on_the_seed_alone():
    assert order(5) == order(5)
    assert order(5) != order(5, seed=2)
    plain = [i for batch in batches(5, shuffle=False) for i in ids(batch)]
    assert plain == [i % 10 for i in range(20)]


def test_images_without_a_rank_are_left_out():
    seen = order(6, FakeSource(10, unranked=(0, 3, 9)))
    assert set(seen) == {1, 2, 4, 5, 6, 7, 8}
    with pytest.raises(ValueError, match=r"fake\.file .*3 records.*ranked"):
        batches(1, FakeSource(3, unranked=(0, 1, 2)))


def test_a_source_smaller_than_a_batch():
    assert sorted(ids(batches(1, FakeSource(2))[0])) == [0, 0, 1, 1]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(num_workers):
    options = {"flip": True, "source": FakeSource(10, unranked=(4,))}
    assert_same(batches(7, num_workers=num_workers, **options), batches(7, **options))


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    ("processes", "devices", "padded"), [(2, 2, 4), (2, 4, 4), (3, 6, 6), (1, 3, 6)]
)
def test_processes_get_together_what_one_would_get(processes, devices, padded, num_workers):
    source = FakeSource(10, broken=(6,))
    options = {"flip": True, "source": source, "on_error": "skip"}
    whole = batches(6, **options)
    shards = [
        shard_of(4, num_devices=devices, process_index=p, process_count=processes)
        for p in range(processes)
    ]
    assert [len(shard) for shard in shards] == [padded // processes] * processes
    parts = [batches(6, num_workers=num_workers, shard=shard, **options) for shard in shards]
    for step, want in enumerate(whole):
        for key in want:
            got = np.concatenate([part[step][key] for part in parts])
            np.testing.assert_array_equal(got[:4], want[key], err_msg=key)
            assert len(got) == padded
            assert not got[4:].any() or key in ("valid_hw", "gt_rank_class")


def test_a_share_resumes_where_it_was():
    shard = shard_of(3, num_devices=4, process_index=1, process_count=2)
    want = batches(5, batch_size=3, shard=shard)
    iterator = train_iterator(FakeSource(10), batch_size=3, seed=1, shard=shard, **SIZE)
    iterator.set_state({"next_index": 3})
    assert_same([next(iterator), next(iterator)], want[3:])
    iterator.close()
    assert want[0]["valid"].tolist() == [True, False]


def test_flip_mirrors_about_half():
    plain, flipped = batches(25, shuffle=False), batches(25, shuffle=False, flip=True)
    mirrored = []
    for a, b in zip(plain, flipped, strict=True):
        for i in range(4):
            same = np.array_equal(a["image"][i], b["image"][i])
            assert same or np.array_equal(a["image"][i, :, ::-1][:, -32:], b["image"][i])
            mirrored.append(not same)
    assert 30 <= sum(mirrored) <= 70
    assert mirrored[:10] != mirrored[10:20]  # drawn anew when an image comes again


@pytest.mark.parametrize(("workers_before", "workers_after"), [(0, 0), (0, 2), (1, 0)])
def test_resumes_where_it_was(workers_before, workers_after):
    options = {"batch_size": 3, "seed": 5, "flip": True} | SIZE
    want = batches(9, **options)
    first = train_iterator(FakeSource(10), num_workers=workers_before, **options)
    assert_same([next(first) for _ in range(4)], want[:4])
    state = json.loads(json.dumps(first.get_state()))
    next(first)  # the state is a copy
    first.close()
    second = train_iterator(FakeSource(10), num_workers=workers_after, **options)
    next(second)
    second.set_state(state)
    assert second.get_state() == state
    assert_same([next(second) for _ in range(5)], want[4:])
    second.close()


def test_position_before_the_first_batch():
    iterator = train_iterator(FakeSource(10), batch_size=2, seed=0, **SIZE)
    state = iterator.get_state()
    iterator.start_prefetch()
    assert iterator.get_state() == state  # reading ahead is no progress
    first = next(iterator)
    iterator.set_state(state)
    assert_same([next(iterator)], [first])
    iterator.close()
    with pytest.raises(ValueError, match="closed"):
        next(iterator)


def test_orbax_saves_and_loads_the_position(tmp_path):
    options = {"batch_size": 3, "seed": 5} | SIZE
    want = batches(6, **options)
    iterator = train_iterator(FakeSource(10), **options)
    for _ in range(4):
        next(iterator)
    ocp.save_checkpointables(tmp_path / "saved", {"data": iterator})
    again = train_iterator(FakeSource(10), **options)
    ocp.load_checkpointables(tmp_path / "saved", {"data": again})
    assert_same([next(again), next(again)], want[4:])
    iterator.close()
    again.close()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_record_is_named_from_any_process(num_workers):
    source = FakeSource(6, broken=(3,))
    with pytest.raises(ValueError, match=r"fake\.file, record made_up_3: broken"):
        batches(3, source, num_workers=num_workers)


def test_evaluation_takes_each_record_once_in_order():
    source = FakeSource(7, unranked=(2,))
    got = list(eval_batches(source, batch_size=3, **SIZE))
    assert [[r.image_id for r in records] for _, records in got] == [
        ["made_up_0", "made_up_1", "made_up_2"],
        ["made_up_3", "made_up_4", "made_up_5"],
        ["made_up_6"],
    ]
    assert [batch["valid"].tolist() for batch, _ in got] == [
        3 * [True],
        3 * [True],
        [True, False, False],
    ]
    assert got[0][0]["gt_valid"].sum(axis=1).tolist() == [2, 2, 0]
    for batch, records in got:
        assert {len(value) for value in batch.values()} == {3}
        assert ids(batch)[: len(records)] == [int(r.image[0, 0, 0]) for r in records]
    filler = {key: value[1] for key, value in got[2][0].items()}
    assert not filler["image"].any()
    assert not filler["gt_valid"].any()
    np.testing.assert_array_equal(filler["valid_hw"], [32, 32])  # nothing divides by zero


def test_without_objects_evaluation_never_opens_a_mask():
    whole = list(eval_batches(FakeSource(3), batch_size=2, **SIZE))
    unreadable = [{"size": [1, 1], "counts": b"broken"}] * 2
    records = [dataclasses.replace(FakeSource(3)[i], masks=unreadable) for i in range(3)]
    got = list(eval_batches(records, batch_size=2, canvas_hw=SIZE["canvas_hw"]))
    for (images, _), (expected, _) in zip(got, whole, strict=True):
        assert set(images) == {"image", "valid_hw", "valid"}
        for name, value in images.items():
            np.testing.assert_array_equal(value, expected[name])


def test_evaluation_names_a_broken_record_and_can_be_left_early():
    with pytest.raises(ValueError, match="record made_up_1"):
        list(eval_batches(FakeSource(4, broken=(1,)), batch_size=2, **SIZE))
    early = eval_batches(FakeSource(50), batch_size=2, **SIZE)
    batch, _ = next(early)
    assert ids(batch) == [0, 1]
    early.close()
    assert list(eval_batches(FakeSource(0), batch_size=2, **SIZE)) == []


def test_images_without_a_rank_come_where_all_objects_count():
    source = FakeSource(4, unranked=(1, 2))
    got = batches(4, source, targets="all")
    assert sorted(i for batch in got for i in ids(batch)) == sorted(4 * list(range(4)))
    for batch in got:
        has_rank = ~np.isin(ids(batch), [1, 2])
        np.testing.assert_array_equal(batch["gt_valid"].sum(axis=1), [2] * 4)
        np.testing.assert_array_equal((batch["gt_rank_class"] >= 0).sum(axis=1), 2 * has_rank)
    with pytest.raises(ValueError, match=r"config\.data\.targets=all"):
        batches(1, FakeSource(3, unranked=range(3)))


def test_shared_memory_that_is_too_small_is_named_before_a_worker_dies_of_it(monkeypatch):
    usage = collections.namedtuple("Usage", "total used free")
    monkeypatch.setattr(worker.shutil, "disk_usage", lambda _: usage(64 << 20, 0, 64 << 20))
    settings = {"canvas_hw": (480, 640), "batch_size": 16, "max_objects": 5, "seed": 0}
    train_iterator(FakeSource(4), num_workers=0, **settings).close()
    with pytest.raises(OSError, match="num_workers .*2.*/dev/shm.*67 MB"):
        train_iterator(FakeSource(4), num_workers=2, **settings)
