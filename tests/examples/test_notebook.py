"""The notebook's code runs from top to bottom, with the model that is shipped."""

import ast
import json
import pathlib

import pytest

from sor_jax import pretrained

NOTEBOOK = pathlib.Path(__file__).parents[2] / "examples/rank_a_photograph.ipynb"


@pytest.mark.skipif(pretrained.DEFAULT not in pretrained.names(), reason="no model is shipped yet")
def test_it_runs_and_what_it_shows_has_a_picture(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    names, shown = {}, []
    for source in code:
        # As a notebook does: the value of a last expression is shown.
        body = ast.parse(source).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), str(NOTEBOOK), "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names))
    pictures = [value for value in shown if hasattr(value, "_repr_png_")]
    assert len(pictures) >= 2
    assert all(picture._repr_png_() for picture in pictures)
