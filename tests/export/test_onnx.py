"""ONNX files say by onnxruntime what prediction says: rules one by one, small models, lite0."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from sor_jax import cli
from sor_jax.checkpoints.exported import read_exported, write_exported
from sor_jax.config import flatten
from sor_jax.datasets.scenes.draw import draw
from sor_jax.detectors.predict import RANK_RULES
from sor_jax.export.program import INPUTS, OUTPUTS, Program, build_program
from sor_jax.inputs.transforms import fitted_hw, resize_image
from sor_jax.models.ranking import POSITIONS
from sor_jax.pretrained import find
from tests.export.cases import assert_same, photographs, predictor, small

onnx = pytest.importorskip("onnx", reason="needs the extra: pip install '.[onnx]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra: pip install '.[onnx]'")

from sor_jax.export.onnx_file import OPSET, to_onnx  # noqa: E402


def session(encoded):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    opened = onnxruntime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in opened.get_outputs()]
    return lambda *arrays: dict(
        zip(names, opened.run(None, dict(zip(INPUTS, arrays, strict=True))), strict=True)
    )


def by_onnx(function):
    """A function of the whole numbers in the first row of `sizes`, as an ONNX file runs it."""

    def call(images, sizes):
        return {"result": function(sizes[0])}

    run = session(to_onnx(Program(call, (32, 32), {"output.result": ""})))
    return lambda *numbers: run(np.zeros((1, 32, 32, 3), np.uint8), np.array([numbers], np.int32))[
        "result"
    ]


TABLE = np.arange(40, dtype=np.float32).reshape(4, 5, 2) ** 1.5
ROWS = np.array([[3, 1, 4], [1, 5, 9], [2, 6, 5]], np.int32)


def collatz(start, most):
    """Steps of the loop that nobody has proved to end."""

    def step(state):
        n, steps = state
        return jax.lax.cond(n % 2 == 0, lambda n: n // 2, lambda n: 3 * n + 1, n), steps + 1

    return jax.lax.while_loop(
        lambda state: (state[0] != 1) & (state[1] < most), step, (start, jnp.int32(0))
    )[1]


RULES = {
    "a row by number": lambda n: jnp.asarray(TABLE)[jnp.clip(n[0], 0, 3)],
    "a row from the end": lambda n: jnp.asarray(TABLE)[-1 - jnp.clip(n[0], 0, 3)],
    "cells of two axes": lambda n: jnp.asarray(TABLE)[n % 4, n % 5],
    "cells of each of a batch": lambda n: jax.vmap(lambda t, i: t[i])(
        jnp.asarray(TABLE[:3]), jnp.stack([n, n + 1, n + 2]) % 5
    ),
    "a write": lambda n: jnp.zeros((6, 2)).at[n[0]].set(n.astype(jnp.float32)),
    "writes of a batch": lambda n: jax.vmap(lambda x, i: x.at[i].set(i < 2))(
        jnp.zeros((3, 6), bool), jnp.concatenate([n, n[:1] - n[1:]])
    ),
    "a window": lambda n: jax.lax.dynamic_slice(jnp.asarray(TABLE), (n[0], n[1], 0), (2, 3, 2)),
    "a scan": lambda n: jax.lax.scan(
        lambda total, row: (total + row * n[0], total.max()), jnp.zeros(3, jnp.int32), ROWS
    ),
    "a loop that ends by itself": lambda n: collatz(jnp.maximum(n[0], 1), n[1]),
    "a batch of such loops": lambda n: jax.vmap(collatz)(jnp.maximum(n, 1) + 2, n + 30),
    "a loop of computed length": lambda n: jax.lax.fori_loop(
        0, n[1], lambda i, x: x + i * n[0], jnp.float32(0.5)
    ),
    "signs of division": lambda n: jnp.stack([(n - 9) // 4, jax.lax.rem(n - 9, 4), (n - 9) % 4]),
    "the best of equals": lambda n: jax.lax.top_k(jnp.asarray(ROWS % 3 * n[0], jnp.float32), 2),
    "what is no number": lambda n: jnp.isfinite(jnp.log(n - 2.0)),
    "a pool": lambda n: jax.lax.reduce_window(
        jnp.asarray(TABLE) * n[0], -jnp.inf, jax.lax.max, (2, 3, 1), (2, 2, 1), "VALID"
    ),
    "products of a batch": lambda n: jnp.einsum("bij,bkj->bki", TABLE * n[0], TABLE[:, 1:]),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule(name):
    def function(numbers):
        parts = jax.tree.leaves(RULES[name](numbers))
        return jnp.concatenate([part.astype(jnp.float32).reshape(-1) for part in parts])

    run = by_onnx(function)
    for numbers in ((2, 3), (0, 0), (1, 4), (7, 12)):
        expected = function(jnp.asarray(numbers, jnp.int32))
        np.testing.assert_allclose(run(*numbers), expected, rtol=1e-6, err_msg=str(numbers))


def test_what_no_rule_writes_is_named():
    with pytest.raises(NotImplementedError, match="'sort'.*stablehlo"):
        by_onnx(jnp.sort)


@pytest.mark.parametrize(
    ("position", "rank_rule"),
    list(zip(POSITIONS, [*RANK_RULES, *RANK_RULES][: len(POSITIONS)], strict=True)),
)
def test_centermask_with_every_position_and_rule(position, rank_rule):
    heads = 2 if position == "center" else 4  # its tokens are two numbers wider
    config, variables = small(rank_rule=rank_rule, position=position, heads=heads)
    predict = predictor(config, variables)
    run = session(to_onnx(build_program(variables, config), batch=2))
    for seed in (0, 5):
        images, sizes = photographs(2, seed=seed)
        expected = predict(images, sizes)
        assert expected["valid"].any() and (expected["ranks"] == 1).any()
        assert_same(run(images, sizes), expected)


@pytest.mark.parametrize("rank_rule", ["reference_mask_rcnn", "expected"])
def test_mask_rcnn(rank_rule):
    config, variables = small("mask_rcnn", rank_rule=rank_rule)
    predict = predictor(config, variables)
    run = session(to_onnx(build_program(variables, config), batch=1))
    images, sizes = photographs(3, seed=2)
    for one in range(3):
        each = images[one : one + 1], sizes[one : one + 1]
        expected = predict(*each)
        assert expected["valid"].any()
        assert_same(run(*each), expected)


@pytest.mark.parametrize(("threshold", "some"), [(0.999999, False), (0.3, True)])
def test_many_slots_are_walked_in_chunks_and_none_may_be_filled(threshold, some):
    config, variables = small()
    config.model.proposals.test.update(max_detections=40, class_threshold=threshold)
    run = session(to_onnx(build_program(variables, config), batch=1))
    images, sizes = photographs(1)
    expected = predictor(config, variables)(images, sizes)
    assert expected["valid"].any() == some and (expected["valid"].sum() > 16) == some
    assert_same(run(images, sizes), expected)


def test_a_network_that_overflows_says_so():
    """onnxruntime's own Relu and Clip let what is no number through, too."""
    config, variables = small()
    params = jax.tree.map(lambda x: x, variables["params"])
    params["backbone"] = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), params["backbone"])
    images, sizes = photographs(1)
    program = build_program({**variables, "params": params}, config)
    assert not session(to_onnx(program))(images, sizes)["finite"].any()


def test_the_command_writes_one_file_that_says_what_it_is(tmp_path):
    config, variables = small()
    card = {"name": "tiny", "summary": "made-up numbers", "licence": "Apache-2.0"}
    write_exported(tmp_path / "tiny", variables, flatten(config.to_dict()), card, dtype="float32")
    out = tmp_path / "tiny.onnx"
    words = ["export", str(tmp_path / "tiny"), "--format", "onnx", "--canvas", "64x96"]
    assert cli.main([*words, "--out", str(out)]) == 0
    model = onnx.load(out)
    assert [(used.domain, used.version) for used in model.opset_import] == [("", OPSET)]
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["model"] == "tiny" and facts["canvas_hw"] == "64x96"
    assert facts["licence"] == "Apache-2.0" and len(facts["weights_sha256"]) == 64
    assert [one.name for one in model.graph.input] == list(INPUTS)
    assert {one.name: one.doc_string for one in model.graph.output} == OUTPUTS
    images, sizes = photographs(1)
    assert_same(session(str(out))(images, sizes), predictor(config, variables)(images, sizes))


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--batch", "N"], "no open batch"), (["--dtype", "bfloat16"], "float32")],
)
def test_what_onnx_cannot_hold_is_told(tmp_path, capsys, words, told):
    with pytest.raises(SystemExit):
        cli.main(["export", "--format", "onnx", "--out", str(tmp_path / "x.onnx"), *words])
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@functools.cache
def lite0():
    """(the canvas, prediction, the ONNX file's call)."""
    shipped = read_exported(find("lite0"))
    program = build_program(shipped.variables, shipped.config, name="lite0", card=shipped.card)
    predict = predictor(shipped.config, shipped.variables)
    return program.canvas_hw, predict, session(to_onnx(program))


def compare(images):
    """Photographs of any size, by both; returns how many objects there were."""
    canvas_hw, predict, run = lite0()
    objects = 0
    canvases, sizes = np.zeros((len(images), *canvas_hw, 3), np.uint8), []
    for canvas, image in zip(canvases, images, strict=True):
        hw = fitted_hw(image.shape[:2], canvas_hw)
        canvas[: hw[0], : hw[1]] = resize_image(image, hw)
        sizes.append(hw)
    sizes = np.asarray(sizes, np.int32)
    for start in range(0, len(images), 5):
        part = canvases[start : start + 5], sizes[start : start + 5]
        expected = predict(*part)
        each = [run(part[0][i : i + 1], part[1][i : i + 1]) for i in range(len(part[0]))]
        found = {name: np.concatenate([one[name] for one in each]) for name in OUTPUTS}
        assert_same(found, expected)
        objects += int(expected["valid"].sum())
    return objects


@pytest.mark.slow
def test_lite0_on_a_hundred_scenes():
    scenes = [draw(7, "test", index, image_hw=(240, 320)) for index in range(100)]
    assert compare([scene.image for scene in scenes]) > 100


@pytest.mark.slow
def test_lite0_on_the_test_photographs(real_data):
    """Two run times side by side; nothing is scored."""
    paths = sorted((real_data / "pascal_s" / "images" / "test").iterdir())
    assert len(paths) == 85
    assert compare([np.asarray(Image.open(path).convert("RGB")) for path in paths]) > 85
