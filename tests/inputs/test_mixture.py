"""Several data sets in one stream: weights, order, resuming, processes."""

import collections

import numpy as np
import pytest

from sor_jax.inputs.augment import Augmentation
from sor_jax.inputs.loader import train_iterator
from sor_jax.inputs.mixture import Epochs, Part, names_of
from sor_jax.inputs.shard import shard_of
from tests.inputs.fakes import FakeSource
from tests.inputs.test_loader import assert_same

SIZE = {"canvas_hw": (32, 32), "max_objects": 4}
HW = ((24, 32), (20, 32), (32, 24))  # tells the parts apart


def parts():
    """Six images, of which three have ranks, beside five and nine where all objects count."""
    return [
        Part(FakeSource(6, unranked=(1, 2, 3), hw=HW[0]), 3, "ranked", "a"),
        Part(FakeSource(5, unranked=range(5), hw=HW[1]), 2.0, "all", "b"),
        Part(FakeSource(9, hw=HW[2]), 1, "all", "c"),
    ]


def iterator(**options):
    return train_iterator(parts(), **({"batch_size": 6, "seed": 1} | SIZE | options))


def take(count, batches):
    try:
        return [next(batches) for _ in range(count)]
    finally:
        batches.close()


def came(batches):
    """(part, index of the image) of every image."""
    for batch in batches:
        for image, hw in zip(batch["image"], batch["valid_hw"], strict=True):
            yield HW.index(tuple(hw)), int(image[0, 0, 0])


def test_each_set_has_its_share_and_comes_whole_before_it_comes_again():
    orders = collections.defaultdict(list)
    for part, index in came(take(30, iterator())):
        orders[part].append(index)
    assert {part: len(order) for part, order in orders.items()} == {0: 90, 1: 60, 2: 30}
    for part, images in ((0, [0, 4, 5]), (1, list(range(5))), (2, list(range(9)))):
        order, size = orders[part], len(images)
        epochs = [order[i : i + size] for i in range(0, len(order) - size + 1, size)]
        assert all(sorted(epoch) == images for epoch in epochs)
        assert any(epoch != epochs[0] for epoch in epochs)


def test_targets_are_those_of_the_set():
    for batch in take(4, iterator()):
        ranked = (batch["gt_rank_class"] >= 0).sum(axis=1)
        of_part = np.array([HW.index(tuple(hw)) for hw in batch["valid_hw"]])
        np.testing.assert_array_equal(ranked, np.array([2, 0, 2])[of_part])
        np.testing.assert_array_equal(batch["gt_valid"].sum(axis=1), 2)


ALL = Augmentation(flip=True, scale=(0.5, 2.0), colour=0.5, paste=0.5)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_changed_images_depend_on_the_seed_alone_and_resume(num_workers):
    whole = take(6, iterator(augmentation=ALL))
    first = iterator(augmentation=ALL)
    assert_same([next(first) for _ in range(2)], whole[:2])
    state = first.get_state()
    first.close()
    second = iterator(augmentation=ALL, num_workers=num_workers)
    second.set_state(state)
    assert_same(take(4, second), whole[2:])
    other = take(1, iterator(augmentation=ALL, seed=2))
    assert (other[0]["image"] != whole[0]["image"]).any()


def test_processes_get_together_what_one_would_get():
    whole = take(3, iterator(augmentation=ALL))
    shards = [shard_of(6, num_devices=2, process_index=i, process_count=2) for i in range(2)]
    halves = [take(3, iterator(augmentation=ALL, shard=shard)) for shard in shards]
    joined = [
        {key: np.concatenate([a[key], b[key]]) for key in a} for a, b in zip(*halves, strict=True)
    ]
    assert_same(joined, whole)


def test_damaged_records_change_no_other_image():
    sound = take(8, iterator(augmentation=ALL, on_error="skip"))
    broken = parts()
    broken[2] = broken[2]._replace(source=FakeSource(9, broken=(4,), hw=HW[2]))
    options = {"batch_size": 6, "seed": 1, "augmentation": ALL, "on_error": "skip"} | SIZE
    damaged = take(8, train_iterator(broken, **options))
    lost = 0
    for a, b in zip(sound, damaged, strict=True):
        for row in range(6):
            if not b["valid"][row]:
                assert b"made_up_4" in b["damage"][row]
                lost += 1
                continue
            np.testing.assert_array_equal(a["image"][row], b["image"][row])
    assert lost == 1  # in eight images of that set


def test_epochs_are_images_taken_by_images_there():
    epochs = Epochs(parts())(180)
    assert epochs == pytest.approx({"a": 90 / 3, "b": 60 / 5, "c": 30 / 9})


def test_names_are_told_apart():
    assert names_of(["x/duts", "y/coco", "z/duts/"]) == ["duts_0", "coco", "duts_2"]


def test_pasting_needs_a_set_without_ranks():
    with pytest.raises(ValueError, match=r"config\.data\.paste"):
        train_iterator(FakeSource(4), batch_size=2, seed=0, augmentation=ALL, **SIZE)
