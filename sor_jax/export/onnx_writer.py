"""A jaxpr as an ONNX graph, one rule for each primitive of jax that prediction is made of.

What is known when the file is written is computed then: positions of anchors, folded norms.
Calls are written out, and where jax chooses by platform the form for none in particular is taken.
"""

import math
from collections.abc import Callable

import jax
import numpy as np
from jax.extend import core

from sor_jax.export.onnx_graph import Graph, Value, of_array

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
RULES: dict[str, Callable] = {}
"""name of a primitive -> rule(writer, equation, values) -> Value or list of Values."""

BROADCASTING: set[str] = set()
"""Primitives whose rule reads values that are still to be broadcast."""


def rule(*names: str, broadcasts: bool = False):
    """Makes a function the rule of primitives."""

    def add(function):
        for name in names:
            RULES[name] = function
            if broadcasts:
                BROADCASTING.add(name)
        return function

    return add


class Writer:
    """Writes equations into a graph."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._turned: dict[str, tuple[Value, list[int]]] = {}  # what a transposed value was
        self._relus: dict[str, Value] = {}

    def run(self, closed: core.ClosedJaxpr, values: list[Value]) -> list[Value]:
        """The results of a jaxpr that is given `values`."""
        jaxpr = closed.jaxpr
        held = dict(zip(jaxpr.constvars, map(of_array, closed.consts), strict=True))
        held.update(zip(jaxpr.invars, values, strict=True))

        def read(variable):
            if isinstance(variable, core.Literal):
                return of_array(np.asarray(variable.val, variable.aval.dtype))
            return held[variable]

        for equation in jaxpr.eqns:
            results = self._write(equation, [read(variable) for variable in equation.invars])
            held.update(zip(equation.outvars, results, strict=True))
        return [read(variable) for variable in jaxpr.outvars]

    def _write(self, equation, values) -> list[Value]:
        name = equation.primitive.name
        if name == "platform_index":
            return [of_array(np.int32(equation.params["platforms"].index(None)))]
        if name in CALLS:
            return self.run(closed(equation.params[CALLS[name]]), values)
        if name == "cond" and values[0].known is not None:
            branch = int(np.clip(values[0].known, 0, len(equation.params["branches"]) - 1))
            return self.run(closed(equation.params["branches"][branch]), values[1:])
        if all(value.known is not None for value in values):
            return self._compute(equation, values)
        if name not in RULES:
            raise NotImplementedError(
                f"the model uses jax's {name!r}, which cannot be written as ONNX yet: export it "
                "as stablehlo"
            )
        if name not in BROADCASTING:
            values = [
                self.expand(value, variable.aval.shape)
                for value, variable in zip(values, equation.invars, strict=True)
            ]
        results = RULES[name](self, equation, values)
        return [results] if isinstance(results, Value) else results

    def _compute(self, equation, values) -> list[Value]:
        """The results of an equation whose inputs are all known."""
        name = equation.primitive.name
        if name == "broadcast_in_dim":
            return [of_array(values[0].known.reshape(lifted_shape(equation, values[0])))]
        arrays = [value.known for value in values]
        if name not in BROADCASTING:
            avals = [variable.aval for variable in equation.invars]
            arrays = [
                np.broadcast_to(array, aval.shape)
                for array, aval in zip(arrays, avals, strict=True)
            ]
        elif len(arrays) > 1:
            arrays = [np.asarray(array) for array in np.broadcast_arrays(*arrays)]
        results = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
        many = equation.primitive.multiple_results
        return [of_array(jax.device_get(result)) for result in (results if many else [results])]

    def expand(self, value: Value, shape) -> Value:
        """The value broadcast to all of its variable's shape."""
        shape = tuple(int(side) for side in shape)
        if value.shape == shape:
            return value
        if value.known is not None and math.prod(shape) <= 4096:
            return of_array(np.ascontiguousarray(np.broadcast_to(value.known, shape)))
        return self.graph.add("Expand", [value, ints(shape)], shape, value.dtype)

    def broadcast(self, op: str, values: list[Value], dtype, **attributes) -> Value:
        """The result of a node that broadcasts its inputs.

        With a known array it goes in front of a transpose: onnxruntime folds what follows a
        convolution at once into it.
        """
        turned = [self._turned[value.name] for value in values if value.name in self._turned]
        others = [value for value in values if value.name not in self._turned]
        if len(turned) == 1 and all(value.known is not None for value in others):
            order = turned[0][1]
            back = np.argsort(order)
            inner = [
                self._turned[value.name][0]
                if value.known is None
                else (self.transpose(value, back) if value.shape else value)
                for value in values
            ]
            return self.transpose(self.broadcast(op, inner, dtype, **attributes), order)
        shape = np.broadcast_shapes(*(value.shape for value in values))
        known = [value for value in values if value.known is not None and value.known.size == 1]
        rest = [value for value in values if value.known is None]
        if len(values) == 2 and len(known) == len(rest) == 1 and rest[0].dtype == np.float32:
            limit = np.asarray(known[0].known)
            if op == "Max" and not limit.any():
                value = self.graph.add("Relu", rest, shape, dtype)
                self._relus[value.name] = rest[0]
                return value
            if op == "Min" and rest[0].name in self._relus and (limit > 0).all():
                limits = [of_array(np.float32(0)), of_array(limit.reshape(()))]
                return self.graph.add("Clip", [self._relus[rest[0].name], *limits], shape, dtype)
        return self.graph.add(op, values, shape, dtype, **attributes)

    def choose(self, which: Value, yes: Value, no: Value) -> Value:
        """`yes` where `which` is True, else `no`."""
        kind = np.dtype(np.uint8) if no.dtype == bool else no.dtype  # there is no Where of bool
        sides = [self.cast(value, kind) for value in (yes, no)]
        return self.cast(self.broadcast("Where", [which, *sides], kind), no.dtype)

    def cast(self, value: Value, dtype) -> Value:
        """The value as another type."""
        from onnx import helper

        dtype = np.dtype(dtype)
        if value.dtype == dtype:
            return value
        if value.known is not None:
            return of_array(value.known.astype(dtype))
        to = helper.np_dtype_to_tensor_dtype(dtype)
        return self.graph.add("Cast", [value], value.shape, dtype, to=to)

    def reshape(self, value: Value, shape) -> Value:
        """The value with its numbers in another shape."""
        shape = tuple(int(side) for side in shape)
        if value.shape == shape:
            return value
        if value.known is not None:
            return of_array(value.known.reshape(shape))
        return self.graph.add("Reshape", [value, ints(shape)], shape, value.dtype)

    def transpose(self, value: Value, order) -> Value:
        """The value with its axes in another order."""
        order = [int(axis) for axis in order]
        if order == sorted(order):
            return value
        if value.known is not None:
            return of_array(np.ascontiguousarray(value.known.transpose(order)))
        if value.name in self._turned:
            inner, before = self._turned[value.name]
            return self.transpose(inner, [before[axis] for axis in order])
        shape = [value.shape[axis] for axis in order]
        turned = self.graph.add("Transpose", [value], shape, value.dtype, perm=order)
        self._turned[turned.name] = value, order
        return turned


def ints(numbers) -> Value:
    """Axes, sizes or indices as ONNX takes them."""
    return of_array(np.asarray(numbers, np.int64))


def closed(jaxpr) -> core.ClosedJaxpr:
    """A jaxpr without constants as one that has them beside it."""
    return jaxpr if hasattr(jaxpr, "consts") else core.ClosedJaxpr(jaxpr, [])


def lifted_shape(equation, value: Value) -> tuple[int, ...]:
    """The shape of broadcast_in_dim's input among its output's axes."""
    shape = [1] * len(equation.params["shape"])
    for axis, side in zip(equation.params["broadcast_dimensions"], value.shape, strict=True):
        shape[axis] = side
    return tuple(shape)


def out_of(equation) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an equation's one result."""
    aval = equation.outvars[0].aval
    return aval.shape, aval.dtype
