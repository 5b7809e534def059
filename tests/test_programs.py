"""Programs that are kept: the same numbers, found again only by what they were made from."""

import jax
import numpy as np
import pytest

from sor_jax import programs
from sor_jax.build import build_predict
from sor_jax.structures import Images
from tests.small import small_network

BATCH = 2


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def folder(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    yield tmp_path / programs.FOLDER
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.fixture
def traced(monkeypatch):
    """Who is traced: one item each time."""
    times, checked = [], programs._checked

    def counting(*args):
        times.append(args)
        return checked(*args)

    monkeypatch.setattr(programs, "_checked", counting)
    return times


def images(config):
    height, width = config.data.canvas_hw
    noise = np.random.default_rng(0).integers(0, 256, (BATCH, height, width, 3), np.uint8)
    return Images(noise, np.int32([[height, width]] * BATCH), np.array([True, False]))


def test_a_kept_program_finds_the_same_without_tracing(network, folder, traced):
    config, model, variables = network
    expected = jax.jit(build_predict(config, model))(variables, images(config))
    assert expected.boxes.valid.any()
    for _ in range(2):
        found = programs.prediction(config, variables, BATCH)(variables, images(config))
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert len(traced) == 1
    assert len(list(folder.iterdir())) == 1


def test_whatever_a_program_is_made_from_makes_it_another(network, folder, traced, monkeypatch):
    config, _, variables = network
    programs.prediction(config, variables, 1)
    other = config.copy_and_resolve_references()
    other.model.rank_rule = {"sequential": "expected"}.get(config.model.rank_rule, "sequential")
    programs.prediction(other, variables, 1)
    programs.prediction(config, variables, 2)
    with jax.default_matmul_precision("highest"):
        programs.prediction(config, variables, 1)
    monkeypatch.setattr(programs, "_digest_of_code", lambda: "other code")
    programs.prediction(config, variables, 1)
    assert len(traced) == len(list(folder.iterdir())) == 5


def test_a_damaged_program_is_made_anew(network, folder, traced):
    config, _, variables = network
    for damage in (lambda content: content[:-1], lambda content: b"", lambda content: content):
        programs.prediction(config, variables, 1)
        (file,) = folder.iterdir()
        file.write_bytes(damage(file.read_bytes()))
    assert len(traced) == 3


def test_the_newest_are_kept(network, folder, monkeypatch):
    monkeypatch.setattr(programs, "KEPT", 1)
    config, _, variables = network
    programs.prediction(config, variables, 1)
    (before,) = folder.iterdir()
    programs.prediction(config, variables, 2)
    assert before not in folder.iterdir()
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("where", ["no cache", "a file"])
def test_nothing_is_kept_where_there_is_no_room(network, folder, traced, where):
    config, model, variables = network
    if where == "a file":
        folder.write_text("")
    else:
        jax.config.update("jax_compilation_cache_dir", None)
    for _ in range(2):
        programs.prediction(config, variables, 1)
    assert len(traced) == 2
    assert not folder.is_dir()


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize(
    "change, named",
    [
        (lambda params: params["fcos"].pop("box"), "box"),
        (lambda params: params["fcos"].update(more={"kernel": np.zeros(3)}), "fcos/more/kernel"),
        (lambda params: params["fcos"]["box"].update(bias=np.zeros(3)), "bias"),
    ],
)
def test_weights_of_another_model_are_named(network, folder, change, named, is_kept):
    config, _, variables = network
    other = jax.tree.map(lambda x: x, variables)
    change(other["params"])
    with pytest.raises(ValueError, match=f"another model.*{named}"):
        programs.prediction(config, other, 1, is_kept=is_kept)
    assert not folder.exists()
