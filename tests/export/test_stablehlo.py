"""StableHLO files: plain jax runs them, in a process that cannot import this project."""

import pathlib
import re
import subprocess
import sys

import jax.export
import numpy as np
import pytest

from sor_jax import cli
from sor_jax.checkpoints.exported import write_exported
from sor_jax.config import flatten
from sor_jax.export.program import OUTPUTS, build_program
from sor_jax.export.stablehlo import to_stablehlo
from tests.export.cases import DETECTORS, assert_same, photographs, predictor, small

GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "export.md"
WITHOUT_US = """
import sys
for name in ("sor_jax", "flax", "optax", "orbax", "ml_collections", "tensorflow"):
    sys.modules[name] = None  # importing it fails
import numpy as np
images, sizes = np.load("images.npy"), np.load("sizes.npy")
"""
SAVE = "\nnp.savez('found.npz', **found)\n"


def of_the_guide(language, word):
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), flags=re.S)
    return next(block for block in blocks if word in block)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    config, variables = small()
    card = {"name": "tiny", "summary": "made-up numbers", "licence": "Apache-2.0"}
    write_exported(folder, variables, flatten(config.to_dict()), card, dtype="float32")
    return folder


@pytest.mark.parametrize("batch", ["1", "N"])
def test_the_guides_lines_run_it_in_a_process_without_this_project(folder, tmp_path, batch):
    words = ["export", str(folder), "--format", "stablehlo", "--batch", batch]
    assert cli.main([*words, "--out", str(tmp_path / "lite0.stablehlo")]) == 0
    images, sizes = photographs(1 if batch == "1" else 3)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "sizes.npy", sizes)
    code = WITHOUT_US + of_the_guide("python", "deserialize") + SAVE
    subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, check=True)
    with np.load(tmp_path / "found.npz") as found:
        expected = predictor(*small())(images, sizes)
        assert expected["valid"].any() and (expected["ranks"] == 1).any()
        assert_same(dict(found), expected)
        assert set(found) == set(OUTPUTS)


@pytest.mark.parametrize("detector", DETECTORS)
def test_an_open_batch_and_all_platforms(detector):
    config, variables = small(detector)
    program = build_program(variables, config)
    encoded = to_stablehlo(program, batch=None, platforms=("cpu", "cuda", "tpu"))
    call = jax.export.deserialize(bytearray(encoded)).call
    predict = predictor(config, variables)
    for count in (1, 3):
        images, sizes = photographs(count)
        assert_same(call(images, sizes), predict(images, sizes))


def test_a_filler_has_no_objects_and_another_canvas_has_its_own_shape():
    config, variables = small()
    program = build_program(variables, config, canvas_hw=(96, 64))
    call = jax.export.deserialize(bytearray(to_stablehlo(program, batch=2))).call
    images, sizes = photographs(2, canvas_hw=(96, 64))
    found = call(images, sizes * [[1], [0]])
    assert found["valid"][0].any() and not found["valid"][1].any()
    assert not found["ranks"][1].any()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--canvas", "100x320"], "multiples of 32"),
        (["--canvas", "big"], "HEIGHTxWIDTH"),
        (["--batch", "0"], "expected a number"),
        (["--platforms", "cpu,vulkan"], "'vulkan'"),
    ],
)
def test_what_cannot_be_written_is_told_and_nothing_is(folder, tmp_path, capsys, words, told):
    out = tmp_path / "x.stablehlo"
    with pytest.raises(SystemExit):
        cli.main(["export", str(folder), "--format", "stablehlo", "--out", str(out), *words])
    assert told in capsys.readouterr().err
    assert not out.exists()
