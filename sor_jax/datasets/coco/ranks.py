"""From the ranks that annotations carry to those that are learnt."""

from collections.abc import Sequence

import numpy as np

from sor_jax.datasets.checks import value_of_place
from sor_jax.datasets.masks import is_numbers
from sor_jax.metrics.sor import NUM_RANKS

MEANINGS = ("places", "scores")


def rank_order(
    values: Sequence, meaning: str, field: str, num_ranks: int = NUM_RANKS
) -> np.ndarray:
    """f64[n]: 1.0 .9 .8 .7 .6 for the five most salient objects, 0 for all others.

    Of another number of ranks the values are those of `value_of_place`.

    Args:
      values: what the field holds for each object, None where an object has no rank.
      meaning: "places", 1 = most salient, 2 = second, ..; or "scores", larger = more salient.
      field: its name, for messages.
    """
    ranked = [index for index, value in enumerate(values) if value is not None]
    numbers = [values[index] for index in ranked]
    for index, value in zip(ranked, numbers, strict=True):
        if not is_numbers([value]):
            kind = "a text" if isinstance(value, str) else type(value).__name__
            raise ValueError(f"object {index}: {field} is {value!r}, {kind}; expected a number")
    if meaning == "places" and sorted(numbers) != list(range(1, len(numbers) + 1)):
        raise ValueError(
            f"{field} of the objects is {numbers}; expected places 1, 2, .. without gaps, each "
            "once (null for an object without one); of scores, larger = more salient, set "
            "config.data.rank_values=scores"
        )
    keys = np.asarray(numbers, np.float64) * (-1 if meaning == "scores" else 1)
    order = np.argsort(keys, kind="stable")
    for first, second in zip(order[:num_ranks], order[1:], strict=False):
        if keys[first] == keys[second]:
            raise ValueError(
                f"objects {ranked[first]} and {ranked[second]} have the same {field}, "
                f"{numbers[first]}; their order is not known"
            )
    result = np.zeros(len(values))
    for rank, index in enumerate(order[:num_ranks]):
        result[ranked[index]] = value_of_place(rank, num_ranks)
    return result
