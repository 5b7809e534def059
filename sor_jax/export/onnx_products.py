"""Rules of matrix products, convolutions and pools."""

import math

import numpy as np

from sor_jax.export.onnx_writer import out_of, rule


@rule("dot_general")
def _dot_general(writer, equation, values):
    (left_sum, right_sum), (left_batch, right_batch) = equation.params["dimension_numbers"]
    left, right = values
    ranks = len(left.shape), len(right.shape)
    if right.known is not None and ranks == (4, 2) and (*left_sum, *right_sum) == (3, 0):
        return _pointwise(writer, left, right, *out_of(equation))
    left_free = [a for a in range(len(left.shape)) if a not in (*left_sum, *left_batch)]
    right_free = [a for a in range(len(right.shape)) if a not in (*right_sum, *right_batch)]
    batch = [left.shape[a] for a in left_batch]
    inner = math.prod(left.shape[a] for a in left_sum)
    rows, columns = [left.shape[a] for a in left_free], [right.shape[a] for a in right_free]
    left = writer.transpose(left, [*left_batch, *left_free, *left_sum])
    right = writer.transpose(right, [*right_batch, *right_sum, *right_free])
    left = writer.reshape(left, [*batch, math.prod(rows), inner])
    right = writer.reshape(right, [*batch, inner, math.prod(columns)])
    shape, dtype = out_of(equation)
    product = [*batch, math.prod(rows), math.prod(columns)]
    return writer.reshape(writer.graph.add("MatMul", [left, right], product, dtype), shape)


def _pointwise(writer, image, matrix, shape, dtype):
    """A product with the channels of a map: as a convolution it keeps the layout of the others."""
    image = writer.transpose(image, (0, 3, 1, 2))
    kernel = writer.reshape(writer.transpose(matrix, (1, 0)), (*matrix.shape[::-1], 1, 1))
    out = [shape[axis] for axis in (0, 3, 1, 2)]
    return writer.transpose(writer.graph.add("Conv", [image, kernel], out, dtype), (0, 2, 3, 1))


@rule("conv_general_dilated")
def _conv(writer, equation, values):
    p = equation.params
    spec = p["dimension_numbers"]
    if set(p["lhs_dilation"]) != {1} or p["batch_group_count"] != 1:
        raise NotImplementedError("a transposed convolution cannot be written as ONNX")
    image, kernel = values
    image = writer.transpose(image, spec.lhs_spec)
    kernel = writer.transpose(kernel, spec.rhs_spec)
    shape, dtype = out_of(equation)
    low, high = zip(*p["padding"], strict=True)
    options = {
        "strides": p["window_strides"],
        "pads": [*low, *high],
        "dilations": p["rhs_dilation"],
        "kernel_shape": kernel.shape[2:],
    }
    result = writer.graph.add(
        "Conv",
        [image, kernel],
        [shape[axis] for axis in spec.out_spec],
        dtype,
        group=int(p["feature_group_count"]),
        **{name: [int(number) for number in numbers] for name, numbers in options.items()},
    )
    return writer.transpose(result, np.argsort(spec.out_spec))


@rule("reduce_window_max")
def _max_pool(writer, equation, values):
    p, shape = equation.params, values[0].shape
    if set(p["base_dilation"]) | set(p["window_dilation"]) != {1}:
        raise NotImplementedError("a dilated pool cannot be written as ONNX")
    cells = zip(p["window_dimensions"], p["window_strides"], p["padding"], strict=True)
    pooled = [a for a, cell in enumerate(cells) if cell != (1, 1, (0, 0))]
    others = [a for a in range(len(shape)) if a not in pooled]
    order = [*others, *pooled]
    image = writer.transpose(values[0], order)
    maps = math.prod(shape[a] for a in others)
    image = writer.reshape(image, [1, maps, *(shape[a] for a in pooled)])
    out, dtype = out_of(equation)
    low, high = ([int(p["padding"][a][side]) for a in pooled] for side in (0, 1))
    result = writer.graph.add(
        "MaxPool",
        [image],
        [*image.shape[:2], *(out[a] for a in pooled)],
        dtype,
        kernel_shape=[int(p["window_dimensions"][a]) for a in pooled],
        strides=[int(p["window_strides"][a]) for a in pooled],
        pads=[*low, *high],
    )
    result = writer.reshape(result, [out[a] for a in order])
    return writer.transpose(result, np.argsort(order))
