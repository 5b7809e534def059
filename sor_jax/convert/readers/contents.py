"""Which of the things that a training script saved together are the weights."""

import re
from collections.abc import Mapping

from sor_jax.convert.readers.tensors import CheckpointError, LazyArray

# Where training scripts keep the arrays among other things, the likeliest first.
_UNDER = ("model", "state_dict", "model_state_dict", "model_state", "blobs")
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa|averaged?|avg|shadow|teacher|momentum)(?![a-z])", re.I)


def is_averaged(name: str) -> bool:
    """Whether a name says that its weights are a running average of others: "model_ema"."""
    return _AVERAGED.search(name) is not None


def weights_in(saved, prefer: str, where: str) -> tuple[str, dict[str, LazyArray], dict[str, int]]:
    """The arrays of a model among what was saved.

    Args:
      saved: what the file holds.
      prefer: a word; weights kept under a name with this word are taken before all others. ""
        takes those that are no running average.
      where: what errors call the file.

    Returns:
      (the name that they are kept under, "" for none; name -> array; name -> number of arrays of
      every other set of weights in the file).

    Raises:
      CheckpointError: there are no arrays, or more than one set that could be meant.
    """
    if not isinstance(saved, Mapping):
        raise CheckpointError(f"{where}: holds a {type(saved).__name__}; expected arrays by name")
    sets = {key: inner for key in _UNDER if (inner := _arrays(saved.get(key)))}
    averages = {str(key): _arrays(value) for key, value in saved.items() if is_averaged(str(key))}
    sets |= {key: inner for key, inner in averages.items() if inner}
    if own := _leaves(saved):
        sets[""] = own
    if not sets:  # {"net": {..}, "epoch": 3}
        sets = {str(key): inner for key, value in saved.items() if (inner := _leaves(value))}
    key = _chosen(sets, prefer, where, saved)
    return key, sets[key], {name: len(inner) for name, inner in sets.items() if name != key}


def _chosen(sets, prefer, where, saved):
    if not sets:
        holds = f"; it holds {', '.join(map(str, list(saved)[:8]))}" if saved else ""
        raise CheckpointError(f"{where}: without any array in it{holds}")
    wanted = [prefer] if prefer and prefer in sets else []
    wanted = wanted or [key for key in sets if prefer and prefer.lower() in key.lower()]
    if not wanted:
        wanted = [key for key in sets if not is_averaged(key)] or list(sets)
        known = [key for key in (*_UNDER, "") if key in wanted]
        wanted = known[:1] or wanted
    if len(wanted) > 1:
        raise CheckpointError(
            f"{where} holds several sets of weights: {', '.join(wanted)}; name one: --prefer NAME"
        )
    return wanted[0]


def _arrays(value) -> dict[str, LazyArray]:
    """Those of a dict, or of the one dict in it that has any: {"ema": {"module": {..}}}."""
    if found := _leaves(value):
        return found
    if not isinstance(value, Mapping):
        return {}
    inner = [found for part in value.values() if (found := _leaves(part))]
    return inner[0] if len(inner) == 1 else {}


def _leaves(value) -> dict[str, LazyArray]:
    if not isinstance(value, Mapping):
        return {}
    return {str(name): leaf for name, leaf in value.items() if isinstance(leaf, LazyArray)}
