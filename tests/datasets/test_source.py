"""Opening data sets by name."""

import pickle

import numpy as np
import pytest

from sor_jax.datasets.source import open_source
from tests.datasets import assr_tree

OPTIONS = {"split": "train", "canvas_hw": (48, 64)}


def test_opens_assr(tmp_path):
    assr_tree.write_split(tmp_path / "files", "train")
    source = open_source("assr", root=tmp_path / "files", cache_dir=tmp_path / "c", **OPTIONS)
    assert len(source) == 4
    assert source[2].image_id == "three"
    np.testing.assert_array_equal(source.rank_order(2), source[2].rank_order)
    moved = pickle.dumps(source)
    assert len(moved) < 1000  # two names, not the records
    assert pickle.loads(moved)[3].image_id == "one"
    for index in (4, -1):
        with pytest.raises(IndexError, match="records 0 to 3"):
            source[index]


def test_default_cache_is_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assr_tree.write_split(tmp_path / "files", "train")
    source = open_source("assr", root=tmp_path / "files", cache_dir=None, **OPTIONS)
    assert source.directory.startswith(str(tmp_path / "home/sor_jax/assr"))


def test_an_unknown_name_lists_the_names(tmp_path):
    with pytest.raises(ValueError, match="'voc'.* assr, .*scenes"):
        open_source("voc", root="", cache_dir=tmp_path, **OPTIONS)


def test_an_unknown_split_is_said(tmp_path):
    assr_tree.write_split(tmp_path / "files", "test")
    with pytest.raises(FileNotFoundError, match="train_images.txt .*test"):
        open_source("assr", root=tmp_path / "files", cache_dir=tmp_path / "c", **OPTIONS)
