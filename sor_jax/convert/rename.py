"""Names of arrays there and here: rows of two templates, read in either direction.

A template holds numbered places, `{i}` for a number i, or `{3*i+1}` and `{i-1}` for one that is
counted otherwise: "layers.{i}.OSA{s}_{b}_{i}/conv.weight". A place that occurs twice is the same
number twice.
"""

import functools
import re
from typing import NamedTuple

_PLACE = re.compile(r"\{(?:(\d+)\*)?([a-z])([+-]\d+)?\}")


class Row(NamedTuple):
    """One array, or one family of numbered arrays.

    Attributes:
      theirs: template of its name in their checkpoint.
      ours: template of its path here, from the collection down: "params/..." or "frozen/...".
      layout: how it lies there, see convert/layouts.py.
    """

    theirs: str
    ours: str
    layout: str


def layer(theirs: str, ours: str, layout: str) -> list[Row]:
    """The weight and the bias of a trained convolution or dense layer."""
    return [
        Row(f"{theirs}.weight", f"params/{ours}/kernel", layout),
        Row(f"{theirs}.bias", f"params/{ours}/bias", "vector"),
    ]


def norm(theirs: str, ours: str) -> list[Row]:
    """The weight and the bias of a trained norm."""
    return [
        Row(f"{theirs}.weight", f"params/{ours}/scale", "vector"),
        Row(f"{theirs}.bias", f"params/{ours}/bias", "vector"),
    ]


def frozen_norm(theirs: str, ours: str) -> list[Row]:
    """A batch norm; here its four arrays are fixed, in the collection "frozen"."""
    leaves = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return [
        Row(f"{theirs}.{there}", f"frozen/{ours}/{here}", "vector")
        for there, here in leaves.items()
    ]


def conv_and_norm(conv: str, norm: str, ours: str) -> list[Row]:
    """A convolution without bias and its frozen norm, a unit of the backbone."""
    return [
        Row(conv, f"params/backbone/{ours}/conv/kernel", "conv"),
        *frozen_norm(norm, f"backbone/{ours}/norm"),
    ]


def translate(name: str, template: str, to: str) -> str | None:
    """`name` in the words of `to` where it fits `template`, else None."""
    values = _values(name, template)
    if values is None or any(_number(match, values) < 0 for match in _PLACE.finditer(to)):
        return None
    return _PLACE.sub(lambda match: str(_number(match, values)), to)


def _values(name, template):
    pattern, places = _compiled(template)
    match = pattern.fullmatch(name)
    if match is None:
        return None
    values = {}
    for text, (factor, letter, offset) in zip(match.groups(), places, strict=True):
        value, rest = divmod(int(text) - offset, factor)
        if rest or value < 0 or values.setdefault(letter, value) != value:
            return None
    return values


def _number(match, values):
    factor, letter, offset = _parts(match)
    return factor * values[letter] + offset


@functools.cache
def _compiled(template):
    places = [_parts(match) for match in _PLACE.finditer(template)]
    literals = [re.escape(part) for part in _PLACE.sub("\0", template).split("\0")]
    return re.compile(r"(\d+)".join(literals)), places


def _parts(match):
    factor, letter, offset = match.groups()
    return int(factor or 1), letter, int(offset or 0)
