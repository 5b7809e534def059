"""What a config must hold, checked before anything starts; and the names that fields had before."""

import functools
import math
import operator
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from sor_jax.files import read_json

PATHS = ("init_from", "data.root", "data.cache_dir")
"""Fields that may begin with ~."""

# Last words of the fields that are 1 or more; all other numbers are 0 or more.
_SIZES = {
    *("batch_size", "accumulate", "steps", "max_objects", "roi_slots", "num_ranks", "channels"),
    *("hidden", "ffn", "heads", "center_grid", "scale_grid", "max_detections", "max_proposals"),
    *("pre_nms_top", "sampled_anchors", "sampled_rois"),
}
TARGETS = ("ranked", "all")
_FRACTIONS = ("optim.momentum", "optim.warmup_factor", "model.ranking.dropout")
CHOICES = {
    "train.on_nonfinite": ("raise", "skip"),
    "train.dtype": ("float32", "bfloat16", "auto"),
    "data.on_error": ("raise", "skip"),
    "data.targets": TARGETS,
    "loss.rank_loss": ("cross_entropy", "pairwise", "listmle"),
    "optim.name": ("sgd", "adamw"),
    "model.detector": ("centermask", "mask_rcnn"),
    "model.pixel_order": ("rgb", "bgr"),
}
# What fields were called before; True where the value means the opposite now.
RENAMED = {
    "optim.rate": ("optim.learning_rate", False),
    "optim.only": ("optim.trainable", False),
    "data.image_hw": ("data.canvas_hw", False),
    "loss.rank_weight": ("loss.weights.rank", False),
    "loss.mask_gradient": ("reference.mask_gradient", False),
    "loss.raw_mask": ("reference.raw_mask", False),
    "loss.whole_pixels": ("reference.whole_pixels", False),
    "model.ranking.mask_channel": ("reference.mask_channel", False),
    "model.ranking.slipped_height": ("reference.slipped_height", False),
    "model.clip_boxes": ("reference.unclipped_boxes", True),
}


def validate(config: ConfigDict) -> ConfigDict:
    """The config with ~ in its paths written out.

    Raises ValueError with the field, its value and what it may be, where one cannot be used.
    """
    if not isinstance(config, ConfigDict):
        raise ValueError(
            f"get_config() returns a {type(config).__name__}; expected an "
            "ml_collections.ConfigDict, such as that of configs/base.py"
        )
    fields = flatten(config.to_dict())
    for name, problem in _problems(fields):
        raise ValueError(f"config.{name} is {fields[name]!r}; {problem}")
    config = config.copy_and_resolve_references()
    for name in PATHS:
        if fields.get(name):
            config.update_from_flattened_dict({name: os.path.expanduser(fields[name])})
    if fields.get("data.mixture"):
        entries = fields["data.mixture"]
        config.data.mixture = tuple((os.path.expanduser(root), *rest) for root, *rest in entries)
    return config


def notes(config: ConfigDict) -> Iterator[str]:
    """What of a valid config is hardly meant: norms without weights, rates never reached."""
    if config.model.norm == "frozen_bn" and not config.init_from:
        yield (
            "config.model.norm is 'frozen_bn' but config.init_from names no weights: frozen norms "
            "are then the identity and do not train well. Set --config.model.norm=group to train "
            "from scratch, or --config.init_from to a checkpoint"
        )
    optim, steps = config.optim, config.train.steps
    if optim.warmup_steps >= steps and optim.warmup_factor < 1:
        yield (
            f"config.optim.warmup_steps is {optim.warmup_steps} of {steps} steps: the learning "
            f"rate never gets to {optim.learning_rate:g}"
        )
    elif optim.milestones and max(optim.milestones) >= steps:
        yield (
            f"config.optim.milestones are {tuple(optim.milestones)} of {steps} steps: the learning "
            "rate does not drop at all of them"
        )


def read_saved(path: pathlib.Path) -> dict[str, Any]:
    """The fields of a config.json, "SECTION.FIELD" -> value, under the names of today."""
    saved = read_json(path)
    if not isinstance(saved, dict):
        raise ValueError(f"{path} holds a {type(saved).__name__}; expected the fields of a config")
    fields = flatten(saved)
    for old, (new, opposite) in RENAMED.items():
        if old in fields:
            value = fields.pop(old)
            fields.setdefault(new, not value if opposite else value)
    if str(fields.get("model.rank_rule")).startswith("reference"):
        fields |= {"model.rank_rule": "sequential", "reference.rank_over_regions": True}
    return fields


def flatten(tree: Mapping, *, separator: str = ".") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            inner = flatten(value, separator=separator)
            flat |= {f"{name}{separator}{rest}": leaf for rest, leaf in inner.items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any], *, separator: str = ".") -> dict[str, Any]:
    """{"a.b": 1} -> {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, last = name.split(separator)
        inner = tree
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return tree


def as_tuples(value: Any) -> Any:
    """A list, such as JSON gives, as a tuple, and those in it; anything else as it is."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _problems(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, what is expected of it) for each one that cannot be used; absent ones are none."""
    for names, holds, expected in (*_of_numbers(fields), *_of_names(fields), *_OF_ONE_FIELD):
        for name in names:
            if name in fields and not holds(fields[name]):
                yield name, f"expected {expected}"


Rule = tuple[Iterable[str], Callable[[Any], bool], str]
"""Some fields, what must hold of each one's value, and that in words."""


def _of_numbers(fields: dict[str, Any]) -> Iterator[Rule]:
    tuples = {name for name, value in fields.items() if isinstance(value, list | tuple)}
    yield (
        tuples - {"optim.trainable", "data.mixture"},
        lambda x: all(_is_number(item) for item in x),
        "numbers",
    )
    numbers = [name for name, value in fields.items() if _is_number(value)]
    sizes = [name for name in numbers if name.split(".")[-1] in _SIZES]
    sizes += [name for name in numbers if name.startswith("data.num_scenes.")]
    yield sizes, lambda x: x >= 1, "1 or more"
    yield numbers, lambda x: 0 <= x < math.inf, "0 or more"
    thresholds = [name for name in numbers if name.endswith("_threshold")]
    yield (*thresholds, *_FRACTIONS), lambda x: 0 <= x <= 1, "a number in 0..1"


def _of_names(fields: dict[str, Any]) -> Iterator[Rule]:
    from sor_jax.metrics.scoreboard import Scoreboard  # slow to import

    metrics = list(Scoreboard().result())
    for name, choices in CHOICES.items():
        yield (name,), functools.partial(operator.contains, choices), f"one of {_names(choices)}"
    yield (
        ("eval.best_metric",),
        lambda x: not x or x in metrics,
        f"one of {_names(metrics)}, or '' to keep the last checkpoints only",
    )
    if fields.get("data.name") == "scenes":
        yield (
            ("data.root", "data.mixture"),
            lambda x: not x,
            "nothing while config.data.name is 'scenes', which are drawn: name the folder's format",
        )


_OF_ONE_FIELD: tuple[Rule, ...] = (
    (("optim.learning_rate",), lambda x: x > 0, "a number above 0"),
    (
        ("optim.milestones",),
        lambda x: list(x) == sorted(set(x)),
        "steps in rising order, none of them twice",
    ),
    (("train.ema",), lambda x: x < 1, "0 (none) or a decay below 1"),
    (
        ("train.profile_steps",),
        lambda x: not x or (len(x) == 2 and 1 <= x[0] <= x[1]),
        "(first, last), counted from 1, or () for no trace",
    ),
    (
        ("model.ranking.hidden",),
        lambda x: all(isinstance(width, int) and width >= 1 for width in x),
        "whole numbers of 1 or more",
    ),
    (
        ("model.pixel_mean", "model.pixel_std"),
        lambda x: len(x) == 3,
        "three numbers, one a colour",
    ),
    (("model.pixel_std",), lambda x: min(x) > 0, "numbers above 0"),
    (
        ("data.canvas_hw",),
        lambda x: len(x) == 2 and all(side >= 1 and side % 32 == 0 for side in x),
        "(height, width) of the network's input in pixels, both multiples of 32",
    ),
    (
        ("optim.trainable",),
        lambda x: all(isinstance(part, str) for part in x),
        "names of parts of the model, such as ('ranking',)",
    ),
    (
        ("data.mixture",),
        lambda entries: all(_is_part(entry) for entry in entries),
        f"((root, weight, targets), ..) with weights above 0, targets {' or '.join(TARGETS)}",
    ),
)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_part(entry: Any) -> bool:
    """Whether this is (root, weight, targets) of a mixture."""
    if not isinstance(entry, list | tuple) or len(entry) != 3:
        return False
    root, weight, targets = entry
    is_weight = _is_number(weight) and weight > 0
    return isinstance(root, str) and is_weight and targets in TARGETS


def _names(choices) -> str:
    return ", ".join(choices)
