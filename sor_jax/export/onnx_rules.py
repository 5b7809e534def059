"""Rules of arithmetic, choices, shapes and sums."""

import numpy as np

from sor_jax.export.onnx_graph import Value, of_array
from sor_jax.export.onnx_writer import ints, lifted_shape, out_of, rule

PLAIN = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "max": "Max",
    "min": "Min",
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "floor": "Floor",
    "ceil": "Ceil",
    "abs": "Abs",
    "sign": "Sign",
    "logistic": "Sigmoid",
    "tanh": "Tanh",
    "erf": "Erf",
    "lt": "Less",
    "gt": "Greater",
    "le": "LessOrEqual",
    "ge": "GreaterOrEqual",
    "eq": "Equal",
    "pow": "Pow",
}
SAME = ("copy", "copy_p", "optimization_barrier", "stop_gradient")
SUMS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}
SUMS |= {"reduce_prod": "ReduceProd"}


@rule(*PLAIN, broadcasts=True)
def _plain(writer, equation, values):
    return writer.broadcast(PLAIN[equation.primitive.name], values, out_of(equation)[1])


@rule(*SAME, broadcasts=True)
def _same(writer, equation, values):
    return values


@rule("and", "or", "not", broadcasts=True)
def _logic(writer, equation, values):
    if values[0].dtype != bool:
        raise NotImplementedError(f"{equation.primitive.name} of bits cannot be written as ONNX")
    return writer.broadcast(equation.primitive.name.capitalize(), values, bool)


@rule("ne", broadcasts=True)
def _ne(writer, equation, values):
    return writer.broadcast("Not", [writer.broadcast("Equal", values, bool)], bool)


@rule("rem", broadcasts=True)
def _rem(writer, equation, values):
    return writer.broadcast("Mod", values, out_of(equation)[1], fmod=1)  # the sign of the first


@rule("square", broadcasts=True)
def _square(writer, equation, values):
    return writer.broadcast("Mul", values * 2, out_of(equation)[1])


@rule("integer_pow", broadcasts=True)
def _integer_pow(writer, equation, values):
    power = of_array(np.asarray(equation.params["y"], values[0].dtype))
    return writer.broadcast("Pow", [*values, power], out_of(equation)[1])


@rule("rsqrt", broadcasts=True)
def _rsqrt(writer, equation, values):
    root = writer.broadcast("Sqrt", values, values[0].dtype)
    return writer.broadcast("Reciprocal", [root], values[0].dtype)


@rule("erfc", broadcasts=True)
def _erfc(writer, equation, values):
    erf = writer.broadcast("Erf", values, values[0].dtype)
    return writer.broadcast("Sub", [of_array(np.ones((), erf.dtype)), erf], erf.dtype)


@rule("is_finite", broadcasts=True)
def _is_finite(writer, equation, values):
    kinds = [writer.broadcast(op, values, bool) for op in ("IsNaN", "IsInf")]
    return writer.broadcast("Not", [writer.broadcast("Or", kinds, bool)], bool)


@rule("select_n", broadcasts=True)
def _select_n(writer, equation, values):
    which, no, *yes = values
    if len(yes) != 1:
        raise NotImplementedError("a choice among more than two cannot be written as ONNX")
    return writer.choose(writer.cast(which, bool), yes[0], no)


@rule("clamp", broadcasts=True)
def _clamp(writer, equation, values):
    low, value, high = values
    above = writer.broadcast("Max", [low, value], value.dtype)
    return writer.broadcast("Min", [above, high], value.dtype)


@rule("convert_element_type", broadcasts=True)
def _convert(writer, equation, values):
    return writer.cast(values[0], out_of(equation)[1])


@rule("broadcast_in_dim", broadcasts=True)
def _broadcast_in_dim(writer, equation, values):
    return writer.reshape(values[0], lifted_shape(equation, values[0]))


@rule("reshape", "squeeze", "expand_dims")
def _reshape(writer, equation, values):
    return writer.reshape(values[0], out_of(equation)[0])


@rule("transpose")
def _transpose(writer, equation, values):
    return writer.transpose(values[0], equation.params["permutation"])


@rule("slice")
def _slice(writer, equation, values):
    start, limit = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * len(start)
    shape = values[0].shape
    axes = [
        axis
        for axis, cut in enumerate(zip(start, limit, strides, strict=True))
        if cut != (0, shape[axis], 1)
    ]
    if not axes:
        return values[0]
    cuts = [ints([part[axis] for axis in axes]) for part in (start, limit)]
    steps = ints([strides[axis] for axis in axes])
    return writer.graph.add("Slice", [values[0], *cuts, ints(axes), steps], *out_of(equation))


@rule("rev")
def _rev(writer, equation, values):
    axes = equation.params["dimensions"]
    first, last, back = (ints([n] * len(axes)) for n in (-1, np.iinfo(np.int64).min, -1))
    return writer.graph.add("Slice", [values[0], first, last, ints(axes), back], *out_of(equation))


@rule("pad")
def _pad(writer, equation, values):
    widths = equation.params["padding_config"]
    if any(inner or low < 0 or high < 0 for low, high, inner in widths):
        raise NotImplementedError("padding between cells cannot be written as ONNX")
    pads = ints([low for low, _, _ in widths] + [high for _, high, _ in widths])
    return writer.graph.add("Pad", [values[0], pads, values[1]], *out_of(equation))


@rule("concatenate")
def _concatenate(writer, equation, values):
    axis = int(equation.params["dimension"])
    return writer.graph.add("Concat", values, *out_of(equation), axis=axis)


@rule("stack")
def _stack(writer, equation, values):
    axis = int(equation.params["axis"])
    shape = [*values[0].shape[:axis], 1, *values[0].shape[axis:]]
    parts = [writer.reshape(value, shape) for value in values]
    return writer.graph.add("Concat", parts, *out_of(equation), axis=axis)


@rule("split")
def _split(writer, equation, values):
    sizes = ints(equation.params["sizes"])
    names = [writer.graph.name_of(value) for value in (values[0], sizes)]
    axis = int(equation.params["axis"])
    names = writer.graph.node("Split", names, len(equation.outvars), axis=axis)
    return [
        Value(variable.aval.shape, variable.aval.dtype, None, name)
        for variable, name in zip(equation.outvars, names, strict=True)
    ]


@rule(*SUMS)
def _sum(writer, equation, values):
    op, axes = SUMS[equation.primitive.name], ints(equation.params["axes"])
    return writer.graph.add(op, [values[0], axes], *out_of(equation), keepdims=0)


@rule("reduce_and", "reduce_or")
def _all_or_any(writer, equation, values):
    op = {"reduce_and": "ReduceMin", "reduce_or": "ReduceMax"}[equation.primitive.name]
    number, axes = writer.cast(values[0], np.int32), ints(equation.params["axes"])
    reduced = writer.graph.add(op, [number, axes], out_of(equation)[0], np.int32, keepdims=0)
    return writer.cast(reduced, bool)


@rule("argmax")
def _argmax(writer, equation, values):
    (axis,) = equation.params["axes"]
    shape, dtype = out_of(equation)
    best = writer.graph.add("ArgMax", values, shape, np.int64, axis=int(axis), keepdims=0)
    return writer.cast(best, dtype)


@rule("top_k")
def _top_k(writer, equation, values):
    (value,), (first, second) = values, (variable.aval for variable in equation.outvars)
    axis = int(equation.params.get("axis", -1))
    names = [writer.graph.name_of(one) for one in (value, ints([equation.params["k"]]))]
    best, index = writer.graph.node("TopK", names, 2, axis=axis)
    index = Value(second.shape, np.dtype(np.int64), None, index)
    return [Value(first.shape, value.dtype, None, best), writer.cast(index, second.dtype)]
