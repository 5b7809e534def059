"""The ranker: the numbers of an evaluation, whatever the form, size or thread."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from PIL import Image

import sor_jax
from sor_jax.build import build_model, build_predict
from sor_jax.checkpoints.exported import read_exported, write_exported
from sor_jax.checkpoints.weights import save_variables
from sor_jax.config import flatten
from sor_jax.datasets.record import Record
from sor_jax.distributed.sharding import make_mesh, make_predict
from sor_jax.evaluation.loop import Seen, in_photograph
from sor_jax.inputs.pad import pad_image
from tests.door.models import CARD, exported, photograph
from tests.processes import output_of
from tests.small import small_network


@pytest.fixture(scope="module")
def ranker():
    return sor_jax.load(exported())


def test_it_finds_something(ranker):
    ranking = ranker(photograph(0))
    assert 1 <= len(ranking) <= 5
    assert ranking.ranks == list(range(1, len(ranking) + 1))


def test_the_numbers_are_those_of_the_evaluation(ranker):
    read = read_exported(exported())
    images = [photograph(0), photograph(1, (64, 200)), photograph(2, (151, 97))]
    padded = [pad_image(image, canvas_hw=ranker.canvas_hw) for image in images]
    padded.append({**padded[0], "valid": np.array(False)})
    batch = {name: np.stack([one[name] for one in padded]) for name in padded[0]}
    mesh = make_mesh(jax.devices())
    predict = make_predict(build_predict(read.config, build_model(read.config)), mesh)
    detections = predict(read.variables, batch)
    for slot, image in enumerate(images):
        record = Record("x", image, np.zeros((0, 4)), [], [], np.zeros(0), None)
        expected = in_photograph(
            detections, Seen(detections, slot, batch["valid_hw"][slot], record)
        )
        ranking = ranker(image)
        np.testing.assert_array_equal(ranking.rank_map(), expected.rank_map())
        order = np.argsort(-expected.rank_class)
        assert ranking.ranks == (5 - expected.rank_class[order]).tolist()
        np.testing.assert_array_equal(ranking.masks, expected.masks[order])
        boxes = expected.xyxy[expected.ranked[order]]
        np.testing.assert_allclose([thing.box for thing in ranking], boxes, atol=1e-3)
        score = expected.score[expected.ranked[order]]
        np.testing.assert_allclose([thing.score for thing in ranking], score, atol=1e-5)
        for thing in ranking:
            assert sum(thing.rank_probabilities) == pytest.approx(1)


@pytest.mark.parametrize("hw", [(1, 1), (1, 300), (300, 1), (33, 47), (1500, 2000)])
def test_photographs_of_any_size(ranker, hw):
    ranking = ranker(photograph(3, hw) if min(hw) > 8 else np.full((*hw, 3), 90, np.uint8))
    assert ranking.masks.shape == (len(ranking), *hw)
    assert ranking.rank_map().shape == hw
    for thing in ranking:
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 < x1 <= hw[1]
        assert 0 <= y0 < y1 <= hw[0]
        assert thing.cutout().mode == "RGBA"
    assert max(ranking.draw().size) <= 1440
    ranking.crop("4:5")
    repr(ranking)


def test_a_list_gives_the_same_in_batches(ranker):
    images = [photograph(seed) for seed in range(5)]
    batched = sor_jax.load(exported(), batch_size=3)
    for one, many in zip(map(ranker, images), batched(images), strict=True):
        np.testing.assert_array_equal(one.rank_map(), many.rank_map())
    assert batched([]) == []


def test_threads_share_it_and_it_compiles_once():
    shared = sor_jax.load(exported())
    images = [photograph(seed, (60 + seed, 80)) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(shared, images))
    assert shared._predict._cache_size() == 1
    for image, ranking in zip(images, found, strict=True):
        np.testing.assert_array_equal(ranking.rank_map(), shared(image).rank_map())


def test_top_threshold_and_rule(ranker):
    image = photograph(0)
    assert len(sor_jax.load(exported(), top=1)(image)) == 1
    assert len(sor_jax.load(exported(), threshold=1.0)(image)) == 0
    assert len(sor_jax.load(exported(), rank_rule="sequential")(image)) >= 1
    for wrong in ({"top": 0}, {"threshold": 2.0}, {"rank_rule": "best"}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            sor_jax.load(exported(), **wrong)


def test_what_a_ranking_gives(ranker, tmp_path):
    path = tmp_path / "p.png"
    Image.fromarray(photograph(0)).save(path)
    ranking = ranker(path)
    facts = json.loads(json.dumps(ranking.to_dict()))
    assert (facts["photograph"], facts["width"], facts["height"]) == (str(path), 120, 90)
    assert [thing["rank"] for thing in facts["things"]] == ranking.ranks
    first = ranking[0]
    assert first.share == pytest.approx(first.mask.mean())
    cut = np.asarray(first.cutout())
    assert (cut[..., 3] > 0).sum() == first.mask.sum()
    rows, columns = np.nonzero(first.mask)
    corner = first.mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    np.testing.assert_array_equal(cut[..., 3] > 0, corner)
    np.testing.assert_array_equal(cut[corner][:, :3], ranking.image[first.mask])
    assert ranking._repr_png_().startswith(b"\x89PNG")
    assert f"{len(ranking)} object" in repr(ranking)
    assert ranking.crop("1:1").size == (90, 90)
    with pytest.raises(AttributeError):
        ranking.name = "other"


def test_coco_results_are_what_pycocotools_reads(ranker):
    from pycocotools import mask as coco_mask

    ranking = ranker(photograph(1))
    for result, thing in zip(ranking.to_coco(image_id=7), ranking, strict=True):
        assert result["image_id"] == 7
        np.testing.assert_array_equal(coco_mask.decode(result["segmentation"]), thing.mask)
        assert result["area"] == thing.mask.sum()


def test_no_object_is_a_ranking_without_things():
    ranking = sor_jax.load(exported(), threshold=1.0)(photograph(0))
    assert len(ranking) == 0
    assert not ranking.rank_map().any()
    assert ranking.draw().size[0] > 0
    assert ranking.to_coco() == []
    assert "0 objects" in repr(ranking)


def test_importing_is_instant_and_loading_leaves_the_training_code_out():
    program = f"""
import sys, sor_jax
assert "load" in dir(sor_jax)
slow = {{"jax", "numpy", "PIL", "ml_collections"}} & set(sys.modules)
import numpy as np
from sor_jax.models.vovnet import VOVNETS, VoVNetSpec  # the tiny body is known to the tests alone
VOVNETS["tiny"] = VoVNetSpec((8,) * 4, (16,) * 4, layers=1, blocks=(1,) * 4, stem=(8, 8, 8))
sor_jax.load({exported()!r})(np.zeros((40, 60, 3), np.uint8))
unneeded = {{"tensorflow_datasets", "grain", "orbax", "tensorstore", "tensorboardX", "configs"}}
print(sorted(slow | unneeded & set(sys.modules)))
"""
    assert output_of("-c", program).strip() == "[]"


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "card.json"])
def test_a_damaged_folder_is_named(name, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported(), folder)
    whole = (folder / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", None):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError), match=str(folder)):
            sor_jax.load(folder)


def test_one_changed_bit_of_the_weights_is_found(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported(), folder)
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-5] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="SHA-256"):
        sor_jax.load(folder)


def test_a_format_of_tomorrow_is_refused(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(exported(), folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        sor_jax.load(folder)


def test_an_unknown_model_is_named():
    with pytest.raises(FileNotFoundError, match="no-such-model"):
        sor_jax.load("no-such-model")


def test_a_workdir_is_loaded_too(tmp_path):
    config, _, variables = small_network()
    save_variables(tmp_path / "run/checkpoints/7", variables)
    (tmp_path / "run/config.json").write_text(config.to_json())
    image = photograph(4)
    expected = sor_jax.load(exported())(image)
    for source in ("run", "run/checkpoints/7"):
        found = sor_jax.load(tmp_path / source)(image)
        assert found.ranks == expected.ranks  # float16 there, float32 here
        boxes = [[thing.box for thing in ranking] for ranking in (found, expected)]
        np.testing.assert_allclose(*boxes, atol=0.5)


def test_a_model_without_ranks_is_refused(tmp_path):
    config, _, variables = small_network()
    fields = flatten(config.to_dict()) | {"loss.weights.rank": 0.0}
    write_exported(tmp_path, variables, fields, CARD)
    with pytest.raises(ValueError, match="without ranks"):
        sor_jax.load(tmp_path)
    assert sor_jax.load(tmp_path, needs_ranks=False).top == 5
