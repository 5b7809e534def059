"""A model of eight ranks through every door that shows ranks."""

import json

import numpy as np
import pytest

import sor_jax
from sor_jax.checkpoints.exported import write_exported
from sor_jax.checkpoints.weights import init_variables_from, save_variables
from sor_jax.config import flatten
from sor_jax.web import show
from tests.door.models import CARD, photograph
from tests.small import small_network

GREYS = [255, 239, 223, 207, 191, 175, 159, 143]  # int(255 * (1 - place / 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    config, _, variables = small_network(num_ranks=8)
    folder = tmp_path_factory.mktemp("eight")
    write_exported(folder, variables, flatten(config.to_dict()), CARD)
    return folder


@pytest.fixture(scope="module")
def ranker(folder):
    return sor_jax.load(folder, threshold=0.05)


def test_ranks_probabilities_greys_and_colours_are_of_eight(ranker):
    ranking = ranker(photograph(0))
    assert ranking.ranks == list(range(1, len(ranking) + 1))
    assert len(ranking) > 5  # of eight detections at most
    painted = ranking.rank_map()
    assert set(np.unique(painted)) <= {0, *GREYS[: len(ranking)]}
    for thing in ranking:
        assert len(thing.rank_probabilities) == 8
        assert sum(thing.rank_probabilities) == pytest.approx(1)
        alone = ranking.only([thing.rank]).rank_map()
        assert alone.max() == (GREYS[thing.rank - 1] if thing.mask.any() else 0)
    assert [one["rank"] for one in json.loads(json.dumps(ranking.to_dict()))["things"]] == (
        ranking.ranks
    )
    assert "rank 1 .. 8" in repr(ranking)
    assert show.table(ranking).count("<th>8</th>") >= 1
    x0, y0, x1, y1 = ranking.crop_box("1:1")
    assert x1 - x0 == y1 - y0
    ranking.draw()


def test_top_reaches_to_eight(folder):
    assert sor_jax.load(folder).top == 8
    assert sor_jax.load(folder, top=7).top == 7
    with pytest.raises(ValueError, match=r"top is 9.*1\.\.8"):
        sor_jax.load(folder, top=9)


def test_weights_of_five_ranks_are_refused_by_the_name_of_the_layer(tmp_path):
    save_variables(tmp_path / "five", small_network()[2])
    with pytest.raises(ValueError, match=r"ranking/rank/(kernel|bias)"):
        init_variables_from(tmp_path / "five", small_network(num_ranks=8)[2])
