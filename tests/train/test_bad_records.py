"""A run over records of which some cannot be read."""

import pytest

from sor_jax.inputs.loader import train_iterator
from sor_jax.train.loop import fit
from tests.inputs.fakes import FakeSource
from tests.train import toy
from tests.train.test_loop import numbers, records

BROKEN = (2, 5)


def run(workdir, on_error, *, num_workers=0, **train):
    batches = train_iterator(
        FakeSource(8, broken=BROKEN),
        canvas_hw=(32, 32),
        batch_size=4,
        max_objects=toy.OBJECTS,
        seed=0,
        on_error=on_error,
        num_workers=num_workers,
    )
    experiment = toy.experiment(train_batches=batches, records_left_out=3)
    return fit(experiment, toy.config(**train), workdir)


def test_skipped_ones_are_told_once_and_counted_in_log_and_summary(tmp_path, capsys):
    run(tmp_path, "skip")  # six steps of four: three times each of eight
    said = capsys.readouterr().out
    for index in BROKEN:
        assert said.count(f"left out: fake.file, record made_up_{index}: broken") == 1
    last = records(tmp_path)[-2]
    assert last["data/records_skipped"] == 6 and last["data/examples_seen"] == 18
    assert (
        "18 images seen, 6 times a damaged record skipped, 3 records left out when they were "
        "prepared; best by mae" in said
    )


def test_so_it_is_when_the_run_goes_on_with_another_number_of_readers(tmp_path):
    run(tmp_path / "straight", "skip")
    run(tmp_path / "parts", "skip", steps=3, num_workers=1)
    run(tmp_path / "parts", "skip")
    ours, theirs = (
        [each for each in numbers(tmp_path / name) if "learning_rate" in each]
        for name in ("parts", "straight")
    )
    assert ours == theirs


def test_raising_ends_the_run_and_the_last_checkpoint_stays(tmp_path):
    with pytest.raises(ValueError, match=r"fake\.file, record made_up_[25]: broken"):
        run(tmp_path, "raise", checkpoint_every=1)
