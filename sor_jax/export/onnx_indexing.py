"""Rules of reading and writing at computed places."""

import numpy as np

from sor_jax.export.onnx_graph import Value, of_array
from sor_jax.export.onnx_writer import ints, out_of, rule


@rule("gather")
def _gather(writer, equation, values):
    p = equation.params
    numbers, sizes = p["dimension_numbers"], [int(size) for size in p["slice_sizes"]]
    operand, indices = values
    if "FILL" in str(p["mode"]):
        raise NotImplementedError("a read that may miss its array cannot be written as ONNX")
    places = _Places(
        writer,
        operand.shape,
        indices,
        numbers.operand_batching_dims,
        numbers.start_indices_batching_dims,
        numbers.start_index_map,
        sizes,
    )
    cells = writer.transpose(operand, places.indexed + places.whole)
    rest = [operand.shape[axis] for axis in places.whole]
    shape = [*places.shape, *rest]
    if len(places.indexed) == 1:
        at = writer.reshape(places.clipped(), places.shape)
        read = writer.graph.add("Gather", [cells, at], shape, operand.dtype, axis=0)
    else:
        at = places.clipped()
        read = writer.graph.add("GatherND", [cells, at], shape, operand.dtype)
    gone = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    window = [size for axis, size in enumerate(sizes) if axis not in gone]
    read = writer.reshape(read, [*places.shape, *window])
    axes = iter(range(len(places.shape)))
    offsets = [int(axis) for axis in numbers.offset_dims]
    order = [
        len(places.shape) + offsets.index(axis) if axis in offsets else next(axes)
        for axis in range(len(out_of(equation)[0]))
    ]
    return writer.transpose(read, order)


@rule("scatter")
def _scatter(writer, equation, values):
    numbers = equation.params["dimension_numbers"]
    operand, indices, updates = values
    point = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = [1 if axis in point else int(side) for axis, side in enumerate(operand.shape)]
    places = _Places(
        writer,
        operand.shape,
        indices,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
        numbers.scatter_dims_to_operand_dims,
        sizes,
    )
    window = [int(axis) for axis in numbers.update_window_dims]
    before = [axis for axis in range(len(updates.shape)) if axis not in window]
    updates = writer.transpose(updates, before + window)
    order = places.indexed + places.whole
    cells, at = writer.transpose(operand, order), places.clipped()
    updates = writer.reshape(updates, [*places.shape, *cells.shape[len(places.indexed) :]])
    if "CLIP" not in str(equation.params["mode"]) and "PROMISE" not in str(equation.params["mode"]):
        updates = places.only_inside(updates, cells)
    if updates.dtype == bool:
        parts = writer.cast(cells, np.uint8), at, writer.cast(updates, np.uint8)
        result = writer.graph.add("ScatterND", list(parts), cells.shape, np.uint8)
        result = writer.cast(result, bool)
    else:
        result = writer.graph.add("ScatterND", [cells, at, updates], cells.shape, operand.dtype)
    return writer.transpose(result, np.argsort(order))


@rule("dynamic_slice")
def _dynamic_slice(writer, equation, values):
    operand, *starts = values
    sizes = [int(size) for size in equation.params["slice_sizes"]]
    moved = [axis for axis, size in enumerate(sizes) if size != operand.shape[axis]]
    if not moved:
        return operand
    first = []
    for axis in moved:
        start = writer.reshape(writer.cast(starts[axis], np.int64), [1])
        first.append(_clip(writer, start, [operand.shape[axis] - sizes[axis]]))
    start = writer.graph.add("Concat", first, [len(moved)], np.int64, axis=0)
    size = ints([sizes[axis] for axis in moved])
    end = writer.graph.add("Add", [start, size], [len(moved)], np.int64)
    return writer.graph.add("Slice", [operand, start, end, ints(moved)], *out_of(equation))


class _Places:
    """The cells that index vectors name.

    Attributes:
      indexed: axes of the operand that a vector has a number for, those of the batch in front.
      whole: the other axes, taken whole.
      shape: of the set of vectors.
    """

    def __init__(self, writer, operand_shape, indices, batch, index_batch, mapped, sizes):
        self._writer = writer
        self.shape = tuple(indices.shape[:-1])
        mapped = [int(axis) for axis in mapped]
        pairs = zip(batch, index_batch, strict=True)  # a batch of one needs no number
        pairs = [(int(a), int(b)) for a, b in pairs if operand_shape[a] != 1]
        batch = [axis for axis, _ in pairs]
        whole = [axis for axis, size in enumerate(sizes) if size == operand_shape[axis]]
        points = [axis for axis in mapped if sizes[axis] == 1 and axis not in batch]
        if any(sizes[axis] != 1 and axis not in whole for axis in range(len(sizes))):
            raise NotImplementedError("a read of windows cannot be written as ONNX")
        self.indexed = batch + points
        self.whole = [axis for axis in whole if axis not in self.indexed]
        self._limits = [operand_shape[axis] - 1 for axis in self.indexed]
        parts = []
        for axis, place in pairs:
            along = [1] * len(self.shape) + [1]
            along[place] = operand_shape[axis]
            number = np.arange(operand_shape[axis], dtype=np.int64).reshape(along)
            parts.append(of_array(np.ascontiguousarray(np.broadcast_to(number, (*self.shape, 1)))))
        if points:
            chosen = [mapped.index(axis) for axis in points]
            given = writer.cast(indices, np.int64)
            if len(chosen) != len(mapped):
                shape = [*self.shape, len(chosen)]
                given = writer.graph.add("Gather", [given, ints(chosen)], shape, np.int64, axis=-1)
            parts.append(given)
        shape = [*self.shape, len(self.indexed)]
        self._given = parts[0]
        if len(parts) > 1:
            self._given = writer.graph.add("Concat", parts, shape, np.int64, axis=-1)

    def clipped(self) -> Value:
        """i64[.., n]: the index vectors, moved inside the operand."""
        return _clip(self._writer, self._given, self._limits)

    def only_inside(self, updates: Value, cells: Value) -> Value:
        """The updates, but what the cells hold already where a vector lies outside."""
        graph, shape = self._writer.graph, self._given.shape
        same = graph.add("Equal", [self._given, self.clipped()], shape, bool)
        number = self._writer.cast(same, np.int32)
        kept = graph.add("ReduceMin", [number, ints([-1])], self.shape, np.int32, keepdims=0)
        kept = self._writer.reshape(
            kept, [*self.shape, *[1] * (len(updates.shape) - len(self.shape))]
        )
        kept = self._writer.cast(kept, bool)
        kind = np.uint8 if updates.dtype == bool else updates.dtype
        values = [self._writer.cast(value, kind) for value in (updates, cells)]
        values[1] = graph.add("GatherND", [values[1], self.clipped()], updates.shape, kind)
        return self._writer.cast(
            graph.add("Where", [kept, *values], updates.shape, kind), updates.dtype
        )


def _clip(writer, value: Value, limits) -> Value:
    if value.known is not None:
        return of_array(np.clip(value.known, 0, limits))
    above = writer.graph.add("Max", [value, ints([0])], value.shape, np.int64)
    return writer.graph.add("Min", [above, ints(limits)], value.shape, np.int64)
