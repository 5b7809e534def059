"""A run becomes a shipped model: the same ranks, honest about float16, found by its name."""

import json

import numpy as np
import pytest
from PIL import Image

import sor_jax
from experiments import ship
from sor_jax import pretrained
from sor_jax.checkpoints.exported import describe, read_config
from sor_jax.checkpoints.weights import save_variables
from tests.door.models import photograph
from tests.small import small_network

FACTS = {key: f"the {key}" for key in ship.FACTS} | {"scores": ["SOR .7", "SA-SOR .5"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config, _, variables = small_network()
    config = config.copy_and_resolve_references()
    config.data.root = "/somebody/data"
    save_variables(folder / "checkpoints/7", variables)
    (folder / "config.json").write_text(config.to_json())
    return folder


def test_a_run_is_shipped_and_found_by_its_name(run, tmp_path, monkeypatch):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for seed in range(2):
        Image.fromarray(photograph(seed)).save(photographs / f"{seed}.png")
    root = tmp_path / "pretrained"
    changes = ["model.proposals.test.class_threshold=0.125"]
    folder = ship.ship(run, "toy", FACTS, check=photographs, changes=changes, root=root)
    assert read_config(folder).model.proposals.test.class_threshold == 0.125
    assert sorted(path.name for path in root.iterdir()) == ["toy"]
    card = json.loads((folder / "card.json").read_text())
    assert card["summary"] == "the summary"
    assert card["float16"].startswith("of 2 photographs float16 changes")
    assert "/somebody" not in (folder / "config.json").read_text()
    for word in ("toy", "SOR .7", "SA-SOR .5", "the licence"):
        assert word in describe(folder)

    monkeypatch.setattr(pretrained, "HERE", root)
    assert pretrained.names() == ["toy"]
    assert pretrained.find("toy") == folder
    ranker = sor_jax.load("toy")
    assert ranker.name == "toy"
    expected = sor_jax.load(run, threshold=0.125)(photograph(1))
    np.testing.assert_array_equal(ranker(photograph(1)).ranks, expected.ranks)


def test_a_change_of_no_field_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match="no such field"):
        ship.ship(run, "toy", FACTS, changes=["model.threshold=1"], root=tmp_path)


def test_every_fact_is_asked_for(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({**FACTS, "bad_at": "", "scores": []}))
    with pytest.raises(ValueError, match="lacks scores, bad_at"):
        ship.read_facts(path)


def test_too_large_a_model_is_not_shipped(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ship, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="1,000"):
        ship.ship(run, "toy", FACTS, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", pretrained.names())
def test_what_is_shipped_is_whole(name):
    """Every folder of the package: its check sum, its size, its card, and that it ranks."""
    folder = pretrained.find(name)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= ship.MOST_BYTES
    card = json.loads((folder / "card.json").read_text())
    assert card["name"] == name
    assert all(card[key] for key in ship.FACTS)
    image = photograph(0, (240, 320))
    assert len(sor_jax.load(name, threshold=0.01)(image)) >= 1
