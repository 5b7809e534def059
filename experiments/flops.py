"""Floating-point operations: how many a traced function takes, how many a device can do.

Counted are convolutions and matrix products, whatever the device. XLA's own count
(`Lowered.cost_analysis`) takes the body of a loop once, and GPUs report none.
"""

import functools
import math

import numpy as np
from jax.extend import core

from sor_jax.detectors.heads import CHUNK

# Operations a second by device kind, as jax names it: (bfloat16, float32). On NVIDIA GPUs from
# Ampere on, and on TPUs, XLA multiplies float32 in a shorter format unless told otherwise
# (TF32, bfloat16); the second number is of that.
_PEAKS = {
    "H200": (989e12, 494e12),
    "H100 PCIe": (756e12, 378e12),
    "H100": (989e12, 494e12),
    "A100": (312e12, 156e12),
    "A10G": (70e12, 35e12),
    "L4": (121e12, 60e12),
    "RTX 4090": (165e12, 82e12),
    "RTX 3090": (71e12, 35e12),
    "V100": (None, 15.7e12),
    "T4": (None, 8.1e12),
    "TPU v6 lite": (918e12, 918e12),
    "TPU v5 lite": (197e12, 197e12),
    "TPU v5": (459e12, 459e12),
    "TPU v4": (275e12, 275e12),
    "TPU v3": (61e12, 61e12),
    "TPU v2": (22e12, 22e12),
}


def peak_flops(device_kind: str, dtype: str) -> float | None:
    """Operations a second of one device in "bfloat16" or "float32"; None where no table says."""
    for name, (bfloat16, float32) in _PEAKS.items():
        if name.lower() in device_kind.lower():
            return bfloat16 if dtype == "bfloat16" else float32
    return None


def count_flops(jaxpr, *, conditional: float = 1.0, loops: float = 1.0) -> float:
    """Two for each product of two numbers; padding and the holes of dilation are none.

    Args:
      jaxpr: of `jax.jit(f).trace(..).jaxpr`, or one inside of it.
      conditional: which share of the conditionals takes its costliest branch; the others count as
        nothing.
      loops: how often a loop without a known end runs; the others count as often as they run.
    """
    count = functools.partial(count_flops, conditional=conditional, loops=loops)
    total = 0.0
    for equation in _needed(getattr(jaxpr, "jaxpr", jaxpr)):
        name, params = equation.primitive.name, equation.params
        if name == "conv_general_dilated":
            total += _convolution(equation)
        elif name == "dot_general":
            total += _product(equation)
        elif name == "cond":
            branches = [count(each) for each in params["branches"]]
            is_choice_of_platform = params.get("branches_platforms") is not None
            total += max(branches) * (1.0 if is_choice_of_platform else conditional)
        else:
            times = {"scan": params.get("length"), "while": loops}.get(name, 1)
            total += times * sum(map(count, _inside(params)))
    return total


def head_chunks(regions: float, slots: int) -> int:
    """How many of the heads' chunks run at least, with so many regions an image on average.

    Of a training step's loops without a known end they hold nearly all products. That which crops
    bitmaps is counted as often, which is too few by little.
    """
    return math.ceil(min(regions, slots) / CHUNK)


def _convolution(equation) -> float:
    image, kernel = (variable.aval.shape for variable in equation.invars)
    out, params = equation.outvars[0].aval.shape, equation.params
    numbers = params["dimension_numbers"]
    # Batch, features out, features in.
    total = 2.0 * out[numbers.out_spec[0]] * out[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    axes = zip(numbers.lhs_spec[2:], numbers.rhs_spec[2:], numbers.out_spec[2:], strict=True)
    steps = zip(
        *(params[name] for name in ("window_strides", "padding", "lhs_dilation", "rhs_dilation")),
        strict=True,
    )
    for (pixels, taps, places), (stride, padding, holes, spread) in zip(axes, steps, strict=True):
        at = np.arange(out[places])[:, None] * stride + np.arange(kernel[taps]) * spread
        at -= padding[0]
        total *= np.sum((at >= 0) & (at <= (image[pixels] - 1) * holes) & (at % holes == 0))
    return float(total)


def _product(equation) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * equation.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)


def _needed(jaxpr):
    """The equations that something comes of."""
    wanted = set(map(id, jaxpr.outvars))
    for equation in reversed(jaxpr.eqns):
        if equation.effects or any(id(variable) in wanted for variable in equation.outvars):
            wanted.update(map(id, equation.invars))
            yield equation


def _inside(params):
    """The jaxprs among the parameters of an equation."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            if isinstance(each, core.Jaxpr | core.ClosedJaxpr):
                yield each
