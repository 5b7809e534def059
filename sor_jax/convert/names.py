"""Whose names a checkpoint's arrays have, whatever a training script put in front of them."""

import re
from typing import NamedTuple

from sor_jax.convert.families import FAMILIES
from sor_jax.convert.families.family import Family
from sor_jax.convert.readers import Checkpoint
from sor_jax.convert.readers.contents import is_averaged

# What torch.compile, FSDP and checkpointing put before the name of any module they wrap.
_WRAPPED = re.compile(
    r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module)\."
)
_IN_FRONT = re.compile(r"(?:(?:module|model)\.)+")


class Recognised(NamedTuple):
    """A checkpoint under the names of its family.

    Attributes:
      family: whose names they are.
      checkpoint: with all that stood before these names taken away.
      notes: sentences about what was taken away and what else the file holds.
    """

    family: Family
    checkpoint: Checkpoint
    notes: tuple[str, ...]


def recognise(checkpoint: Checkpoint, *, prefer: str = "") -> Recognised:
    """Finds the family of a checkpoint by the names of its arrays.

    Args:
      checkpoint: with names as in the file.
      prefer: as of read_checkpoint, for files that tell several weights apart by a prefix.

    Raises:
      ValueError: no family has such names, several weights could be meant, or two arrays have the
        same name once what stands before it is taken away.
    """
    where = checkpoint.path
    plain = {name: _WRAPPED.sub("", name) for name in checkpoint.arrays}
    families = _prefixes(plain.values())
    if not families:
        known = "\n".join(f"  {f.name}: has {' or '.join(f.signature)}" for f in FAMILIES)
        raise ValueError(
            f"{where} is of no known family; its arrays are called "
            f"{', '.join(sorted(checkpoint.arrays)[:4])}, ..\nKnown families:\n{known}"
        )
    prefix = _chosen(families, checkpoint, prefer)
    others = tuple(sorted(set(families) - {prefix}, key=len, reverse=True))
    arrays: dict = {}
    came_from: dict[str, str] = {}
    for name, array in checkpoint.arrays.items():
        short = _short(plain[name], prefix, others)
        if short is None:
            continue
        if short in arrays:
            raise ValueError(f"{where} holds {came_from[short]} and {name}: which one is {short}?")
        arrays[short], came_from[short] = array, name
    notes = _notes(checkpoint, prefix, others, came_from)
    return Recognised(families[prefix], checkpoint._replace(arrays=arrays), notes)


def _prefixes(names) -> dict[str, Family]:
    """{what stands before a signature: the family that it is of}."""
    signatures = sorted(
        ((sign, family) for family in FAMILIES for sign in family.signature),
        key=lambda pair: -len(pair[0]),  # "backbone.x" before "x"
    )
    found: dict[str, Family] = {}
    for name in names:
        for sign, family in signatures:
            if name == sign or name.endswith(f".{sign}"):
                found.setdefault(name.removesuffix(sign), family)
                break
    return found


def _chosen(families, checkpoint, prefer):
    prefixes = list(families)
    if prefer and prefer.lower() not in checkpoint.key.lower():
        prefixes = [prefix for prefix in families if prefer.lower() in prefix.lower()]
        if not prefixes:
            held = [repr(name) for name in (checkpoint.key, *checkpoint.others, *families) if name]
            raise ValueError(
                f"{checkpoint.path} holds no weights under a name with {prefer!r}; it holds "
                f"{', '.join(held) or 'one set without a name'}"
            )
    prefixes = [prefix for prefix in prefixes if not is_averaged(prefix)] or prefixes
    if len(prefixes) > 1 and "" not in prefixes:
        listed = ", ".join(map(repr, prefixes))
        raise ValueError(
            f"{checkpoint.path} holds several sets of weights, whose names begin with {listed}; "
            "name one: --prefer NAME"
        )
    return "" if "" in prefixes else prefixes[0]


def _short(name, prefix, others):
    """The family's name of an array; None of one that belongs to other weights."""
    if prefix and name.startswith(prefix):
        return name.removeprefix(prefix)
    if any(name.startswith(other) for other in others if other):
        return None
    return _IN_FRONT.sub("", name, count=1) if _IN_FRONT.match(name) else name


def _notes(checkpoint, prefix, others, came_from):
    notes = [f"taken from {checkpoint.key!r}"] if checkpoint.key else []
    shortened = [there for short, there in came_from.items() if short != there]
    if shortened:
        longest = max((there.removesuffix(s) for s, there in came_from.items()), key=len)
        front = repr(longest) if shortened[0].startswith(longest) else "what wraps modules"
        notes.append(f"{front} left out of {len(shortened)} of {len(came_from)} names")
    told = {key: f"{count} arrays" for key, count in checkpoint.others.items() if key}
    told |= {other: "by their names" for other in others if other}
    for key, what in told.items():
        word = "ema" if "ema" in key.lower() else key.strip(".")
        notes.append(f"the file also holds {key!r} ({what}): --prefer {word} takes it")
    return tuple(notes)
