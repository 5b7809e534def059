"""What weights say of themselves, above all the input that they expect.

Converted weights have a weights.json beside them, a training run its config.json. Whoever starts
from weights or evaluates them takes the input normalisation from there, not from the config.
"""

import dataclasses
import json
import os
import pathlib

from ml_collections import ConfigDict

from sor_jax.checkpoints.saved import CONFIG, FOLDER, steps_in
from sor_jax.distributed.hosts import say
from sor_jax.files import write_json

FILE = "weights.json"


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """What is done to an image's pixels, u8, before the network sees them: (pixel - mean) / std.

    Attributes:
      pixel_order: "rgb" or "bgr"; mean and std are in this order.
      pixel_mean, pixel_std: one number a channel, of pixels in 0..255.
    """

    pixel_order: str
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]

    def __str__(self) -> str:
        mean, std = (", ".join(f"{x:g}" for x in p) for p in (self.pixel_mean, self.pixel_std))
        return f"{self.pixel_order}, mean ({mean}), std ({std})"


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Where weights come from.

    Attributes:
      normalisation: the input they expect.
      family: whose weights they are; "" for a model trained here.
      source: the file or folder that they were made from, "" for none.
      sha256: of that file.
      licence: of the family's published weights.
      fresh: the model's arrays that are not among them; they start anew.
    """

    normalisation: Normalisation
    family: str = ""
    source: str = ""
    sha256: str = ""
    licence: str = ""
    fresh: tuple[str, ...] = ()


def write_provenance(folder: str | os.PathLike, provenance: Provenance) -> None:
    """Writes weights.json into a folder, atomically."""
    write_json(pathlib.Path(folder) / FILE, dataclasses.asdict(provenance))


def read_provenance(source: str | os.PathLike) -> Provenance | None:
    """What converted weights, a workdir or one checkpoint in a workdir say; None if nothing."""
    source = pathlib.Path(source).absolute()
    workdir = source.parents[1] if source.parent.name == FOLDER else source
    for path in (source / FILE, workdir / CONFIG):
        if path.is_file():
            break
    else:
        return None
    try:
        facts = json.loads(path.read_text())
        if path.name == CONFIG:
            return Provenance(_normalisation(facts["model"]), source=facts["init_from"])
        return Provenance(
            _normalisation(facts.pop("normalisation")),
            **{**facts, "fresh": tuple(facts["fresh"])},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!r}") from error


def normalisation_of(config: ConfigDict) -> Normalisation:
    """The input that config.model describes."""
    return _normalisation(config.model)


def with_normalisation(config: ConfigDict, provenance: Provenance | None) -> ConfigDict:
    """The config with the input normalisation of weights; says so in a line where it differs."""
    if provenance is None or provenance.normalisation == normalisation_of(config):
        return config
    wanted = provenance.normalisation
    say(f"the weights expect {wanted}: taken in place of the config's {normalisation_of(config)}")
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.model.update(dataclasses.asdict(wanted))
    return config


def initial_config(config: ConfigDict, workdir: str | os.PathLike) -> ConfigDict:
    """The config with the input normalisation of the weights that a run goes on from.

    These are the workdir's own where it has checkpoints, else those of config.init_from.
    """
    source = workdir if steps_in(pathlib.Path(workdir) / FOLDER) else config.init_from
    return with_normalisation(config, read_provenance(source) if source else None)


def _normalisation(fields) -> Normalisation:
    mean, std = (tuple(float(x) for x in fields[name]) for name in ("pixel_mean", "pixel_std"))
    return Normalisation(str(fields["pixel_order"]), mean, std)
