"""The config that trained weights are used with: the one that they keep beside them."""

import os
import pathlib
from typing import Any

from absl import logging
from ml_collections import ConfigDict, config_flags

from sor_jax.checkpoints.saved import CONFIG, FOLDER
from sor_jax.config import as_tuples, flatten, read_saved, validate

SECTIONS = ("model", "reference", "data", "loss")
"""The parts of a config that decide what a model makes of a photograph, and how it is scored."""


def run_config(flag, source: str | os.PathLike) -> ConfigDict:
    """The config for a trained model: its own config.json, and what the command line sets.

    Args:
      flag: of config_flags.DEFINE_config_file, absl.flags.FLAGS["config"]. Fields set by
        --config.FIELD=VALUE override the model's own; a whole file does so only where the model
        keeps no config.json, and a line tells how it differs.
      source: a workdir, one checkpoint in it, or converted weights.

    Raises:
      ValueError, FileNotFoundError: there is no config.json, and --config is not given.
    """
    path = config_file(source)
    if path is None:
        if not flag.present and not pathlib.Path(source).exists():
            raise FileNotFoundError(f"there is no {os.path.abspath(source)}")
        if not flag.present:
            raise ValueError(
                f"{os.fspath(source)} has no {CONFIG}, which training and converting leave there: "
                "give --config=FILE, the config that the model was trained with"
            )
        return validate(flag.value)
    overrides = dict(config_flags.get_override_values(flag))
    config = config_of(path, flag.value, overrides)
    if flag.present:
        ignored = _differences(flatten(config.to_dict()), flatten(flag.value.to_dict()))
        for name, (own, given) in ignored.items():
            logging.warning(
                "--config: its %s is %r, the model's own %r: the model's own is used; set "
                "--config.%s to change it",
                *(name, given, own, name),
            )
    return config


def config_of(
    path: pathlib.Path, defaults: ConfigDict, overrides: dict[str, Any] | None = None
) -> ConfigDict:
    """The config that a config.json holds.

    Args:
      path: the file; one that an earlier version wrote is read under today's names.
      defaults: has every field; gives those that the file lacks.
      overrides: "SECTION.FIELD" -> value in place of the file's.
    """
    saved = {name: as_tuples(value) for name, value in read_saved(path).items()}
    known = flatten(defaults.to_dict())
    for name in sorted(saved.keys() - known.keys()):
        logging.warning("%s: config.%s means nothing to this version", path, name)
    fields = {name: saved[name] for name in saved if name in known} | (overrides or {})
    config = defaults.copy_and_resolve_references()
    try:
        with config.unlocked():
            config.update_from_flattened_dict(fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return validate(config)


def differences(config: ConfigDict, source: str | os.PathLike) -> dict[str, tuple[Any, Any]]:
    """{"SECTION.FIELD": (of config.json, of `config`)} where they differ, of SECTIONS alone.

    Empty where `source` (see run_config) keeps no config.json.
    """
    path = config_file(source)
    if path is None:
        return {}
    saved = {name: as_tuples(value) for name, value in read_saved(path).items()}
    both = _differences(saved, flatten(config.to_dict()))
    return {name: pair for name, pair in both.items() if name.split(".")[0] in SECTIONS}


def config_file(source: str | os.PathLike) -> pathlib.Path | None:
    """The config.json of a workdir, of one checkpoint in it, or of converted weights."""
    source = pathlib.Path(source).expanduser().absolute()
    for folder in (source, source.parents[1] if source.parent.name == FOLDER else source):
        if (folder / CONFIG).is_file():
            return folder / CONFIG
    return None


def _differences(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields that both have, with another value; a list is the tuple of its items."""
    pairs = {name: (as_tuples(one[name]), as_tuples(other[name])) for name in one if name in other}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
