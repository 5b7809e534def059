"""Ranking branches on cached regions: the same numbers as the whole model, and they learn."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.tables import paired, shared
from experiments.tables import regions as regions_file
from experiments.tables.branches import (
    Schedule,
    one_an_object,
    rank_logits,
    score_branch,
    train_branch,
)
from experiments.tables.regions import Regions, found_regions, training_regions
from sor_jax.build import build_predict
from sor_jax.distributed.sharding import make_mesh, make_predict
from sor_jax.evaluation.loop import evaluate
from sor_jax.inputs.eval_batches import eval_batches
from sor_jax.metrics.scoreboard import summary
from sor_jax.models.ranking import RankingHead
from tests.inputs.fakes import made_up_record
from tests.small import small_network

BOXES = ((4, 6, 40, 30), (50, 10, 90, 40), (20, 36, 60, 60))


class Source:
    """Five photographs with two or three objects."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return made_up_record(index, hw=(64, 96), boxes=BOXES[: 2 + index % 2])


@pytest.fixture
def network(monkeypatch):
    config, model, variables = small_network()
    config = config.copy_and_resolve_references()
    config.data.canvas_hw, config.eval.batch_size = (64, 96), 2
    monkeypatch.setattr(regions_file, "open_split", lambda config, split: Source())
    return config, model, variables


@pytest.mark.parametrize("rule", ["sequential", "expected"])
def test_the_models_own_branch_on_cached_regions_scores_as_the_whole_model(network, rule):
    config, model, variables = network
    config.model.rank_rule = rule
    found, scenes = found_regions(config, variables, "test")
    assert found.valid.any() and len(scenes) == 5
    # float16 regions may not turn the order of two objects here.
    branch = model.ranking, variables["params"]["ranking"]
    rows = score_branch(*branch, found, scenes, rank_rule=rule, batch_size=2)
    predict = make_predict(build_predict(config, model), make_mesh(jax.devices()[:1]))
    size = {"canvas_hw": (64, 96), "batch_size": 2, "max_objects": 5}
    whole = evaluate(lambda b: predict(variables, b), eval_batches(Source(), **size))
    for name, value in summary(rows).items():
        assert value == pytest.approx(whole[name], abs=1e-12), name


def test_training_regions_begin_with_the_true_boxes_and_know_their_objects(network):
    config, _, variables = network
    found = training_regions(config, variables, shrink=2)
    assert found.pooled.shape == (5, 8, 7, 7, 18) and found.pooled.dtype == np.float16
    for index, count in enumerate([2, 3, 2, 3, 2]):
        np.testing.assert_array_equal(found.xyxy[index, :count], BOXES[:count])
        assert list(found.owner[index, :count]) == list(range(count))
        assert list(found.rank_class[index, :count]) == [4, 3, 2][:count]
    assert (found.owner[~found.valid] == -1).all()
    # The maps of a bin are its place in the photograph: here of the first box, y then x.
    y = (6 + (np.arange(7) + 0.5) * 24 / 7) / 64
    x = (4 + (np.arange(7) + 0.5) * 36 / 7) / 96
    np.testing.assert_allclose(found.pooled[0, 0, :, 3, -2], y, atol=2e-3)
    np.testing.assert_allclose(found.pooled[0, 0, 3, :, -1], x, atol=2e-3)


def made_up_regions(images=64, slots=6, side=4, seed=0):
    """Three objects with two regions each; the first channel shows the rank."""
    rng = np.random.default_rng(seed)
    owner = np.tile([0, 1, 2, 0, 1, 2], (images, 1)).astype(np.int32)
    order = np.array([rng.permutation(3) for _ in range(images)])
    rank_class = 4 - np.take_along_axis(order, owner, axis=1).astype(np.int32)
    pooled = rng.normal(0, 0.1, (images, slots, side, side, 5)).astype(np.float16)
    pooled[..., 0] += rank_class[..., None, None]
    return Regions(
        pooled=pooled,
        xyxy=rng.uniform(0, 32, (images, slots, 4)).astype(np.float32),
        valid=np.ones((images, slots), bool),
        owner=owner,
        rank_class=rank_class,
        valid_hw=np.full((images, 2), 64, np.int32),
    )


def test_every_object_comes_once_in_any_of_its_regions():
    part = made_up_regions()
    part.valid[:, 5] = False  # the second region of the last object
    chosen = one_an_object(part, jax.random.key(0))
    assert chosen.valid.tolist() == [[True, True, True, False, False]] * 64
    np.testing.assert_array_equal(chosen.owner[:, :3], np.tile([0, 1, 2], (64, 1)))
    first = np.asarray((chosen.xyxy[:, :3] == part.xyxy[:, :3]).all(axis=-1))
    second = np.asarray((chosen.xyxy[:, :3] == part.xyxy[:, 3:]).all(axis=-1))
    assert (first ^ second).all() and first[:, 2].all()
    assert 0.25 < first[:, 0].mean() < 0.75
    np.testing.assert_array_equal(chosen.rank_class[:, :3], part.rank_class[:, :3])


HEAD = RankingHead(channels=8, depth=1, hidden=(16, 16), layers=1, heads=2, ffn=16)


def test_a_branch_learns_what_its_regions_show_and_its_seed_decides_all():
    schedule = Schedule(epochs=12, batch_size=16, rate=5e-3)
    params = train_branch(HEAD, made_up_regions(), schedule, seed=0)
    unseen = made_up_regions(seed=1)
    logit = np.asarray(rank_logits(HEAD, params, unseen))
    assert (logit.argmax(axis=-1) == unseen.rank_class).mean() > 0.9
    again = train_branch(HEAD, made_up_regions(), schedule, seed=0)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    other = train_branch(HEAD, made_up_regions(), schedule, seed=1)
    assert not np.array_equal(params["rank"]["kernel"], other["rank"]["kernel"])


def test_a_branch_that_learns_pairs_alone_orders_by_the_mean_class():
    schedule = Schedule(epochs=12, batch_size=16, rate=5e-3, rank_loss="pairwise")
    params = train_branch(HEAD, made_up_regions(), schedule, seed=0)
    unseen = made_up_regions(seed=1)
    logit = np.asarray(rank_logits(HEAD, params, unseen))
    mean = jax.nn.softmax(logit) @ np.arange(5.0)
    order = np.argsort(mean[:, :3], axis=1) == np.argsort(unseen.rank_class[:, :3], axis=1)
    assert order.mean() > 0.9
    # No absolute class is learnt, unlike by the cross-entropy.
    assert (logit.argmax(axis=-1) == unseen.rank_class).mean() < 0.9


def test_branches_that_are_done_are_kept_and_other_settings_train_anew(
    monkeypatch, network, tmp_path
):
    config, model, variables = network
    trained = []

    def fake_training(head, regions, schedule, *, seed):
        trained.append(seed)
        return variables["params"]["ranking"]

    monkeypatch.setattr(shared, "train_branch", fake_training)
    monkeypatch.setattr(shared, "open_split", lambda config, split: Source())
    detector = shared.SharedDetector(config, None, tmp_path, schedule=Schedule(), shrink=1)
    monkeypatch.setattr(detector, "variables", lambda: variables)
    first = detector.branch(config, "ppa", 0)
    assert detector.branch(config, "ppa", 0) == first and trained == [0]
    detector.branch(config, "ppa", 1)
    detector.schedule = dataclasses.replace(detector.schedule, epochs=3)
    detector.branch(config, "ppa", 0)
    assert trained == [0, 1, 0]
    made = tmp_path / "regions.npz"
    before = made.stat().st_mtime_ns
    detector.training()
    assert made.stat().st_mtime_ns == before
    others = jax.tree.map(np.zeros_like, variables)
    monkeypatch.setattr(detector, "variables", lambda: others)
    detector.training()
    assert made.stat().st_mtime_ns > before
    detector.branch(config, "ppa", 0)
    assert trained == [0, 1, 0, 0]
    detector.config = config.copy_and_resolve_references()
    detector.config.model.proposals.test.class_threshold /= 2
    detector.branch(config, "ppa", 0)
    assert trained == [0, 1, 0, 0, 0]
    assert paired.rho_of([first, first]).shape == (2, 5)
    kept = detector.params("ppa", 0)
    jax.tree.map(np.testing.assert_array_equal, kept, dict(variables["params"]["ranking"]))
