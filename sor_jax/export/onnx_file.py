"""A program as one ONNX file."""

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import helper

# Importing the rules makes them known.
from sor_jax.export import onnx_control, onnx_indexing, onnx_products, onnx_rules  # noqa: F401
from sor_jax.export.onnx_graph import Value
from sor_jax.export.onnx_writer import Writer
from sor_jax.export.program import INPUTS, Program

OPSET = 18
IR_VERSION = 9  # of the file's own format: what onnxruntime 1.15 and later read


def to_onnx(program: Program, *, batch: int | None = 1) -> bytes:
    """The bytes of the file.

    Inputs and outputs have the names of `program`, the model's facts are its metadata. Weights are
    stored in float16 where that changes none.

    Args:
      program: what is written.
      batch: images in one call; None, an open batch, is refused.

    Raises:
      ValueError: the batch or the program's dtype cannot be used.
      NotImplementedError: the model is made of something that no rule writes.
    """
    if batch is None:
        raise ValueError(
            "an ONNX file has no open batch (N): the number of images in a call is fixed; take "
            "--batch 1 or more, or --format stablehlo"
        )
    if batch < 1:
        raise ValueError(f"batch is {batch}; expected 1 or more")
    if program.facts.get("dtype", "float32") != "float32":
        raise ValueError("an ONNX file computes in float32 here: leave --dtype out")
    shapes = ((batch, *program.canvas_hw, 3), (batch, 2))
    types = (jnp.uint8, jnp.int32)
    arguments = [jax.ShapeDtypeStruct(*pair) for pair in zip(shapes, types, strict=True)]
    traced, results = jax.make_jaxpr(program.call, return_shape=True)(*arguments)
    inputs = {
        name: Value(argument.shape, np.dtype(argument.dtype), None, name)
        for name, argument in zip(INPUTS, arguments, strict=True)
    }
    writer = Writer()
    values = writer.run(traced, list(inputs.values()))
    outputs = {
        name: Value(shape.shape, np.dtype(shape.dtype), value.known, value.name)
        for (name, shape), value in zip(sorted(results.items()), values, strict=True)
    }
    texts = {key.partition(".")[2]: text for key, text in program.facts.items()}
    model = helper.make_model(
        writer.graph.finish(program.facts.get("model", "model"), inputs, outputs, texts),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sor_jax",
    )
    helper.set_model_props(model, program.facts)
    onnx.checker.check_model(model)
    return model.SerializeToString()
