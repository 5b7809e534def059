"""Rules of loops and branches, which are graphs within the graph."""

import numpy as np

from sor_jax.export.onnx_graph import Value, type_of
from sor_jax.export.onnx_writer import closed, rule


@rule("cond")
def _cond(writer, equation, values):
    branches = equation.params["branches"]
    if len(branches) != 2:
        raise NotImplementedError("a choice among more than two cannot be written as ONNX")
    which, *arguments = values
    graphs = {}
    for name, branch in zip(("else_branch", "then_branch"), branches, strict=True):
        with writer.graph.within() as nodes:
            results = writer.run(closed(branch), arguments)
            outputs = [
                _output(writer, value, variable.aval)
                for value, variable in zip(results, equation.outvars, strict=True)
            ]
        graphs[name] = writer.graph.inner(nodes, [], outputs)
    name = writer.graph.name_of(writer.cast(which, bool))
    return _named(equation, writer.graph.node("If", [name], len(equation.outvars), **graphs))


@rule("scan")
def _scan(writer, equation, values):
    p, jaxpr = equation.params, closed(equation.params["jaxpr"])
    if p["reverse"]:
        raise NotImplementedError("a loop from the end cannot be written as ONNX")
    # Rows have an axis more outside than inside. Not by the names of parameters: jax changes them.
    inside = jaxpr.jaxpr.invars, jaxpr.jaxpr.outvars
    num_rows, num_results = (
        sum(len(a.aval.shape) != len(b.aval.shape) for a, b in zip(*pair, strict=True))
        for pair in zip((equation.invars, equation.outvars), inside, strict=True)
    )
    num_carried = len(equation.outvars) - num_results
    first = len(values) - num_rows - num_carried
    shared, start, rows = (
        values[:first],
        values[first:][:num_carried],
        values[first + num_carried :],
    )

    def body(step, carried):
        own = [
            writer.graph.add("Gather", [row, step], row.shape[1:], row.dtype, axis=0)
            for row in rows
        ]
        return None, writer.run(jaxpr, [*shared, *carried, *own])

    avals = [variable.aval for variable in jaxpr.jaxpr.outvars]
    names = _loop(writer, body, start, avals, most=p["length"])
    return _named(equation, names)


@rule("while")
def _while(writer, equation, values):
    p = equation.params
    first, second = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    of_test, of_body, start = values[:first], values[first:second], values[second:]

    avals = [variable.aval for variable in equation.outvars]
    # A batch of loops goes on where its own test says.
    of_each = closed(p["cond_jaxpr"]).jaxpr.outvars[0].aval.shape

    def test(carried):
        return writer.run(closed(p["cond_jaxpr"]), [*of_test, *carried])[0]

    def any_of(tests):
        if not of_each:
            return tests
        number = writer.cast(writer.expand(tests, of_each), np.int32)
        most = writer.graph.add("ReduceMax", [number], (), np.int32, keepdims=0)
        return writer.cast(most, bool)

    def body(step, carried):
        results = writer.run(closed(p["body_jaxpr"]), [*of_body, *carried])
        if of_each:
            on = test(carried)
            results = [
                writer.choose(
                    writer.reshape(on, [*on.shape, *[1] * (len(old.shape) - 1)]), new, old
                )
                for new, old in zip(results, carried, strict=True)
            ]
        return any_of(test(results)), results

    return _named(equation, _loop(writer, body, start, avals, goes_on=any_of(test(start))))


def _loop(writer, body, start, avals, *, most=None, goes_on=None) -> list[str]:
    """Names of the results of a Loop; body(step, carried) -> (goes on, carried and rows)."""
    graph = writer.graph
    step, before = graph.new_name("step"), graph.new_name("on")
    inputs = [type_of(step, np.int64, ()), type_of(before, bool, ())]
    carried = []
    for aval in avals[: len(start)]:
        carried.append(Value(aval.shape, np.dtype(aval.dtype), None, graph.new_name("carried")))
        inputs.append(type_of(carried[-1].name, aval.dtype, aval.shape))
    with graph.within() as nodes:
        again, results = body(Value((), np.dtype(np.int64), None, step), carried)
        again = again or Value((), np.dtype(bool), None, before)
        kinds = [_Bool, *avals]
        outputs = [
            _output(writer, value, kind)
            for value, kind in zip([again, *results], kinds, strict=True)
        ]
    inner = graph.inner(nodes, inputs, outputs)
    count = "" if most is None else graph.constant(np.asarray(most, np.int64))
    test = "" if goes_on is None else graph.name_of(goes_on)
    values = [writer.expand(value, aval.shape) for value, aval in zip(start, avals, strict=False)]
    names = [count, test, *(graph.name_of(value) for value in values)]
    return graph.node("Loop", names, len(avals), body=inner)


class _Bool:
    shape, dtype = (), np.dtype(bool)


def _output(writer, value: Value, aval):
    """The last node of a graph within the graph: its result under a name of its own."""
    value = writer.expand(value, aval.shape)
    (name,) = writer.graph.node("Identity", [writer.graph.name_of(value)])
    return type_of(name, aval.dtype, aval.shape)


def _named(equation, names) -> list[Value]:
    return [
        Value(tuple(variable.aval.shape), np.dtype(variable.aval.dtype), None, name)
        for variable, name in zip(equation.outvars, names, strict=True)
    ]
