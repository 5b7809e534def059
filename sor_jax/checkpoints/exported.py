"""Weights that are handed on: a folder with all that using them takes, and nothing else.

weights.safetensors   "params/.." and "frozen/..", float16 (small arrays float32) or float32
config.json           the config that they belong to, with the input normalisation
card.json             format, SHA-256 of the weights, and what a person should know of them
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

import ml_collections
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sor_jax.config import as_tuples, flatten, read_saved, unflatten
from sor_jax.files import write_json, write_whole
from sor_jax.metrics.sor import NUM_RANKS

FORMAT = 1
SMALL = 20_000  # numbers in an array that stays float32
WEIGHTS, CONFIG, CARD = "weights.safetensors", "config.json", "card.json"
_OF_THE_ORIGINAL = (
    "mask_channel",
    "raw_mask",
    "mask_gradient",
    "whole_pixels",
    "unclipped_boxes",
    "rank_over_regions",
    "slipped_height",
)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A folder of weights, read.

    Attributes:
      variables: {"params": .., "frozen": ..} of float32 numpy arrays.
      config: the one that they belong to.
      card: what card.json says.
    """

    variables: dict[str, Any]
    config: ml_collections.ConfigDict
    card: dict[str, Any]


def is_exported(folder: str | os.PathLike) -> bool:
    """Whether a folder holds such weights."""
    return (pathlib.Path(folder) / WEIGHTS).is_file()


def write_exported(
    folder: str | os.PathLike,
    variables: Any,
    fields: dict[str, Any],
    card: dict[str, Any],
    *,
    dtype: str = "float16",
) -> None:
    """Writes such a folder; card.json comes last, so that a folder that has one is whole.

    Args:
      folder: is made where it is missing.
      variables: {"params": .., "frozen": ..}.
      fields: of the config, see `sor_jax.config.read_saved`.
      card: what a person should know; format, SHA-256, bytes and parameters are added.
      dtype: "float16" of all but small arrays (norms, biases, last layers, depthwise kernels: a
        twentieth of the numbers, and most of what rounding does to ranks), or "float32" for weights
        that are to come back as they were.

    Raises:
      ValueError: a value is not finite, or is none in float16.
    """
    folder, arrays = pathlib.Path(folder), {}
    for name, value in flatten(variables, separator="/").items():
        with np.errstate(over="ignore"):
            array = np.asarray(value, np.float32)
            array = array if array.size <= SMALL else array.astype(dtype)
            arrays[name] = np.ascontiguousarray(array)
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} has values that {dtype} cannot hold: nothing is written")
    encoded = save(arrays)
    write_whole(folder / WEIGHTS, encoded)
    write_json(folder / CONFIG, unflatten(fields))
    facts = {
        "format": FORMAT,
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "bytes": len(encoded),
        "parameters": sum(array.size for array in arrays.values()),
    }
    write_json(folder / CARD, {**card, **facts})


def read_exported(folder: str | os.PathLike) -> Exported:
    """Reads such a folder, its check sum included.

    Raises:
      ValueError: a file is missing, damaged or of a format that is not known here.
    """
    folder = pathlib.Path(folder)
    card = read_card(folder)
    try:
        encoded = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{folder} has no {WEIGHTS}: the folder is not whole") from None
    found = hashlib.sha256(encoded).hexdigest()
    if found != card["sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged: its SHA-256 is {found[:12]}.., that of {CARD} "
            f"{str(card['sha256'])[:12]}..; fetch or install it again"
        )
    try:
        arrays = load(encoded)
    except SafetensorError as error:
        raise ValueError(f"{folder / WEIGHTS} is no safetensors file: {error}") from None
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    variables = {"params": {}, "frozen": {}, **unflatten(arrays, separator="/")}
    return Exported(variables, read_config(folder), card)


def read_card(folder: str | os.PathLike) -> dict[str, Any]:
    """What card.json says, its format checked."""
    path = pathlib.Path(folder) / CARD
    try:
        card = json.loads(path.read_text())
        version = card["format"]
        card["sha256"]
    except FileNotFoundError:
        raise ValueError(f"{path.parent} has no {CARD}: the folder is not whole") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from None
    if version != FORMAT:
        raise ValueError(
            f"{path} is of format {version}, known here is {FORMAT}: install the sor_jax that it "
            "was made for"
        )
    return card


def describe(folder: str | os.PathLike) -> str:
    """What is known of the weights of a folder: what they are, how good, what they are bad at."""
    card = read_card(folder)
    size = f"{card['parameters'] / 1e6:.1f} million parameters, {card['bytes'] / 1e6:.1f} MB"
    lines = [f"{card['name']}: {card['summary']}", f"  {size}"]
    for title, key in (
        ("trained on", "trained_on"),
        ("command", "command"),
        ("scores", "scores"),
        ("bad at", "bad_at"),
        ("licence", "licence"),
    ):
        values = card.get(key) or []
        values = [values] if isinstance(values, str) else values
        lines += [f"  {title}: {values[0]}"] * bool(values) + [f"    {v}" for v in values[1:]]
    return "\n".join(lines)


def read_config(folder: str | os.PathLike) -> ml_collections.ConfigDict:
    """The config of config.json; what it does not say of `reference` is off, and ranks are five."""
    path = pathlib.Path(folder) / CONFIG
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {CONFIG}: it says what model the weights are of")
    fields = {f"reference.{name}": False for name in _OF_THE_ORIGINAL}
    fields |= {"model.num_ranks": NUM_RANKS} | read_saved(path)
    fields = {name: as_tuples(value) for name, value in fields.items()}
    return ml_collections.ConfigDict(unflatten(fields))
