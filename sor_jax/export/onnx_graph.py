"""What an ONNX graph is put together from: values, nodes, and the weights beside them."""

import contextlib
import hashlib
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

SMALL = 1024  # numbers in an array that is stored as it is


class Value(NamedTuple):
    """What a variable of a jaxpr is in the graph: an array that is known now, or a name.

    `shape` has as many axes as the variable and may have a 1 where that has more: broadcasting is
    left to the nodes that read it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    known: np.ndarray | None = None
    name: str = ""


def of_array(array: Any) -> Value:
    """The value of an array that is known now."""
    array = np.asarray(array)
    return Value(array.shape, array.dtype, array)


class Graph:
    """Nodes in the order in which they run; loops and branches are graphs within it.

    A subgraph reads names of the graphs around it. Weights lie in the outermost one. Those that
    float16 holds exactly are stored so, and cast when the file is loaded.
    """

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._casts: list[onnx.NodeProto] = []
        self._names: dict[Any, str] = {}
        self._count = 0

    def new_name(self, word: str = "v") -> str:
        """A name that nothing else has."""
        self._count += 1
        return f"{word}{self._count}"

    def node(self, op: str, inputs: list[str], count: int = 1, **attributes) -> list[str]:
        """Appends a node; returns the names of its results."""
        outputs = [self.new_name() for _ in range(count)]
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs

    def add(self, op: str, inputs: list[Value], shape, dtype, **attributes) -> Value:
        """The one result of a new node."""
        names = [self.name_of(value) for value in inputs]
        return Value(tuple(shape), np.dtype(dtype), None, self.node(op, names, **attributes)[0])

    def name_of(self, value: Value) -> str:
        """What a node reads the value by; a known one becomes a weight."""
        return value.name if value.known is None else self.constant(value.known)

    def constant(self, array: np.ndarray) -> str:
        """The name of a weight; equal ones are stored once."""
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        small = array.size <= SMALL
        key = (array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._names:
            self._names[key] = name = self.new_name("w")
            with np.errstate(over="ignore"):
                half = array.astype(np.float16) if array.dtype == np.float32 else array
            if small or half is array or not np.array_equal(half.astype(np.float32), array):
                self.initializers.append(numpy_helper.from_array(array, name))
            else:
                self.initializers.append(numpy_helper.from_array(half, f"{name}_half"))
                to = onnx.TensorProto.FLOAT
                self._casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=to))
        return self._names[key]

    @contextlib.contextmanager
    def within(self):
        """Nodes that are added in the block go to the list that it gets."""
        around, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = around

    def inner(self, nodes, inputs, outputs) -> onnx.GraphProto:
        """A graph within the graph, without nodes that nobody reads."""
        nodes = _needed(nodes, {output.name for output in outputs})
        return helper.make_graph(nodes, self.new_name("inner"), inputs, outputs)

    def finish(self, name: str, inputs, outputs: dict[str, Value], texts: dict[str, str]):
        """The whole as an onnx.GraphProto; `texts` describe inputs and outputs."""
        for key, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [self.name_of(value)], [key]))
        taken, given = (
            [
                type_of(key, value.dtype, value.shape, texts.get(key, ""))
                for key, value in values.items()
            ]
            for values in (inputs, outputs)
        )
        nodes = _needed([*self._casts, *self.nodes], set(outputs))
        read = _reads(nodes)
        weights = [weight for weight in self.initializers if weight.name in read]
        return helper.make_graph(nodes, name, taken, given, initializer=weights)


def type_of(name: str, dtype, shape, text: str = "") -> onnx.ValueInfoProto:
    """Name, type and shape of an input or output."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, list(shape), text)


def _reads(nodes) -> set[str]:
    """All names that nodes read, those of the graphs within them included."""
    read = set()
    for node in nodes:
        read.update(node.input)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                read |= _reads(attribute.g.node) | {out.name for out in attribute.g.output}
    return read


def _needed(nodes, wanted: set[str]) -> list[onnx.NodeProto]:
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted = wanted | _reads([node])
    return kept[::-1]
