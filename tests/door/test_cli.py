"""`sor-jax rank` on files, folders, damaged files, shards, and over what is done already."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import sor_jax
from sor_jax import cli
from sor_jax.jobs import Shard, find_jobs
from tests.door.models import exported, photograph


@pytest.fixture(scope="module", autouse=True)
def one_ranker():
    """One compiled model for all command lines of this file that do not set its options."""
    loaded = sor_jax.load(exported())
    patch = pytest.MonkeyPatch()
    load = sor_jax.load

    def again(model, **options):
        is_same = model == exported() and options["top"] == 5 and options["threshold"] is None
        return loaded if is_same else load(model, **options)

    patch.setattr("sor_jax.ranker.load", again)
    yield
    patch.undo()


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photographs"
    for seed, name in enumerate(("a.png", "b.jpg", "sub/c.png", "sub/deep/d.PNG")):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph(seed)).save(path)
    (root / "notes.txt").write_text("no photograph")
    return root


def run(*words):
    try:
        return cli.main([str(word) for word in words])
    except SystemExit as end:
        return end.code


def rank(*words):
    return run("rank", *words, "--model", exported())


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_one_photograph_is_drawn_beside_it_and_told(folder, capsys):
    assert rank(folder / "a.png") == 0
    assert Image.open(folder / "a.ranked.png").size[0] > 0
    told = capsys.readouterr().out
    assert "rank 1 .. 5" in told
    assert str(folder / "a.ranked.png") in told


def test_every_kind_of_result(folder, tmp_path):
    kinds = "picture,json,masks,cutouts,map,crop"
    assert rank(folder / "a.png", "--out", tmp_path, "--save", kinds, "--crop", "4:5") == 0
    ranking = sor_jax.ranker.load(exported(), top=5, threshold=None)(folder / "a.png")
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "a.map.png")), ranking.rank_map()
    )
    facts = json.loads((tmp_path / "a.ranked.json").read_text())
    assert [thing["rank"] for thing in facts["things"]] == ranking.ranks
    assert len(facts["coco"]) == len(ranking)
    for thing in ranking:
        mask = np.asarray(Image.open(tmp_path / f"a.masks/{thing.rank}.png"))
        np.testing.assert_array_equal(mask, 255 * thing.mask)
        assert Image.open(tmp_path / f"a.cutouts/{thing.rank}.png").mode == "RGBA"
    assert Image.open(tmp_path / "a.crop-4x5.jpg").size == (72, 90)


def test_folders_keep_their_shape_and_a_second_time_does_nothing(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert rank(folder, "--out", out) == 0
    expected = ["a.ranked.png", "b.ranked.png", "sub/c.ranked.png", "sub/deep/d.ranked.png"]
    assert files(out) == expected
    assert "4 ranked" in capsys.readouterr().err
    before = {name: (out / name).stat().st_mtime_ns for name in expected}
    (out / "b.ranked.png").unlink()
    assert rank(folder, "--out", out) == 0
    assert "1 ranked, 3 done before" in capsys.readouterr().err
    assert (out / "a.ranked.png").stat().st_mtime_ns == before["a.ranked.png"]
    assert rank(folder, "--out", out, "--again") == 0
    assert "4 ranked" in capsys.readouterr().err


def test_results_beside_photographs_are_not_ranked_themselves(folder, capsys):
    kinds = ("--save", "picture,masks,cutouts,map,crop", "--crop", "1:1")
    assert rank(folder, *kinds) == 0
    count = len(files(folder))
    assert rank(folder, *kinds, "--again") == 0
    assert "4 ranked" in capsys.readouterr().err
    assert len(files(folder)) == count


def test_a_broken_file_is_named_and_passed_over(folder, tmp_path, capsys):
    (folder / "broken.jpg").write_bytes((folder / "b.jpg").read_bytes()[:300])
    assert rank(folder, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert str(folder / "broken.jpg") in told
    assert "4 ranked, 1 could not be ranked" in told
    assert len(files(tmp_path / "out")) == 4


@pytest.mark.parametrize("hw, told", [((6, 900), True), ((400, 5), True), ((64, 200), False)])
def test_a_photograph_that_the_model_can_hardly_see_is_told(tmp_path, capsys, hw, told):
    Image.fromarray(np.full((*hw, 3), 90, np.uint8)).save(tmp_path / "p.png")
    assert rank(tmp_path / "p.png") == 0
    assert (f"{hw[1]} x {hw[0]} pixels" in capsys.readouterr().err) == told


def test_json_lines_on_the_standard_output(folder, capsys):
    before = files(folder)
    assert rank(folder, "--json", "-") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    names = ["a.png", "b.jpg", "sub/c.png", "sub/deep/d.PNG"]
    assert [line["photograph"] for line in lines] == [str(folder / name) for name in names]
    assert files(folder) == before


def test_shards_make_up_the_whole(folder):
    whole = find_jobs([folder])
    shards = [find_jobs([folder], shard=Shard(i, 3)) for i in (1, 2, 3)]
    assert sorted(sum(shards, [])) == sorted(whole)
    assert [len(shard) for shard in shards] == [2, 1, 1]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0"])
def test_shards_that_are_none(text, folder, capsys):
    assert rank(folder, "--shard", text) == 2
    assert text in capsys.readouterr().err


def test_two_of_one_name_keep_their_endings(folder, tmp_path):
    shutil.copy(folder / "a.png", folder / "b.png")
    stems = {job.stem.name for job in find_jobs([folder], out=tmp_path)}
    assert stems == {"a", "b.jpg", "b.png", "c", "d"}
    shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(ValueError, match="both write"):
        find_jobs([folder, tmp_path / "other"], out=tmp_path)


def test_a_newer_photograph_is_done_again(folder, capsys):
    assert rank(folder / "a.png") == 0
    import os

    later = (folder / "a.ranked.png").stat().st_mtime + 5
    os.utime(folder / "a.png", (later, later))
    assert rank(folder / "a.png") == 0
    assert "done before" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, status, told",
    [
        (["nothing.jpg"], 1, "nothing.jpg"),
        (["--model", "none-such", "a.png"], 1, "none-such"),
        (["--save", "film", "a.png"], 2, "film"),
        (["--save", "crop", "a.png"], 1, "--crop"),
        (["--crop", "wide", "a.png"], 1, "wide"),
        (["--top", "9", "a.png"], 1, "top is 9"),
        (["empty"], 1, "empty holds no photograph"),
        ([], 2, "photographs"),
    ],
)
def test_what_is_wrong_is_one_message(words, status, told, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    assert run("rank", *words) == status
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_a_place_that_cannot_be_written_is_a_message(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert rank(folder / "a.png", "--out", tmp_path / "file" / "out") == 1
    told = capsys.readouterr().err
    assert f"a.png: {tmp_path}/file/out" in told and "Errno" not in told


def test_models_are_listed_without_jax(capsys):
    assert run("models") == 0
