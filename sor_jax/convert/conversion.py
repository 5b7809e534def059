"""From a checkpoint file of others to weights that train.py and eval.py take, and back."""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Sequence

from flax import traverse_util
from ml_collections import ConfigDict

from sor_jax.build import variable_shapes
from sor_jax.checkpoints.exported import write_exported
from sor_jax.checkpoints.provenance import (
    Provenance,
    normalisation_of,
    read_provenance,
    write_provenance,
)
from sor_jax.checkpoints.saved import write_manifest
from sor_jax.checkpoints.weights import load_variables
from sor_jax.config import flatten
from sor_jax.convert.families import ORIGINALS
from sor_jax.convert.fit import FRESH, MISMATCH, MISSING, Fit, fit, unsound, variables_to_torch
from sor_jax.convert.names import recognise
from sor_jax.convert.readers import Checkpoint, read_checkpoint
from sor_jax.convert.table import part, table
from sor_jax.files import write_arrays

_LISTED = 20  # arrays that an error names


def convert(
    source: str | os.PathLike,
    config: ConfigDict,
    out: str | os.PathLike,
    *,
    allow_missing: Sequence[str] = (),
    prefer: str = "",
) -> Fit:
    """Reads a checkpoint file, prints the table and writes weights that say what they are.

    Beside the weights lie weights.json, see Provenance, and config.json: `config` with the input
    that the weights expect, in the form of a workdir's.

    Args:
      source: .pth (zip or legacy), .pkl, .safetensors or .npz.
      config: describes the model; its input normalisation is not asked.
      out: the folder to write, which must not be there yet.
      allow_missing: patterns of arrays that may start afresh, see `fit.allowed`.
      prefer: a word in the name of the weights that are wanted, of several in the file ("ema").

    Returns:
      What became of every array.

    Raises:
      ValueError: the file does not hold what the model needs, or numbers that are not finite;
        nothing is written.
    """
    out = _new(out)
    read = read_checkpoint(source, prefer=prefer)
    family, checkpoint, notes = recognise(read, prefer=prefer)
    normalisation = family.normalisation(checkpoint)
    family.check_body(config.model.backbone)
    result = fit(checkpoint.arrays, family, variable_shapes(config), allow_missing=allow_missing)
    print(f"{source}: {checkpoint.format}, {len(checkpoint.arrays)} arrays, {family.name}")
    for note in notes:
        print(note)
    print(f"licence of the family's published weights: {family.licence}")
    print(f"input: {normalisation}")
    print(table(result), flush=True)
    _refuse_gaps(result)
    _refuse_unsound(result.arrays, {entry.ours: entry.theirs for entry in result.entries})
    fresh = tuple(entry.ours for entry in result.of(FRESH))
    provenance = Provenance(
        normalisation,
        family=family.name,
        source=checkpoint.path.name,
        sha256=_sha256(checkpoint),
        licence=family.licence,
        fresh=fresh,
    )
    _write(out, result.variables(), provenance, config)
    use = "config.init_from" if fresh else "config.init_from or eval.py --weights"
    print(f"written to {out}, for {use}", flush=True)
    return result


def export(source: str | os.PathLike, config: ConfigDict, out: str | os.PathLike) -> None:
    """Writes weights as an .npz with the original's names and layouts.

    Args:
      source: converted weights, a workdir or one checkpoint in it.
      config: describes the model.
      out: the .npz to write, which must not be there yet.
    """
    out = _new(out)
    if out.suffix != ".npz":
        raise ValueError(f"--out is {out}: with --to torch it must end in .npz")
    variables = load_variables(source, variable_shapes(config))
    _refuse_unsound(traverse_util.flatten_dict(variables, sep="/"), {})
    arrays = variables_to_torch(variables, family=ORIGINALS[config.model.detector])
    write_arrays(out, arrays)
    provenance = read_provenance(source)
    normalisation = provenance.normalisation if provenance else normalisation_of(config)
    print(f"{len(arrays)} arrays written to {out}")
    print(f"the weights expect {normalisation}: set INPUT.FORMAT, MODEL.PIXEL_MEAN, _STD to that")


def _refuse_gaps(result):
    gaps = result.of(MISSING, MISMATCH)
    if gaps:
        parts = sorted({part(entry.ours) for entry in gaps})
        raise ValueError(
            f"nothing was written: {len(gaps)} arrays that the model needs are not in the file or "
            f"have another shape, see above. Take the config that the file was made with, or, "
            f"where they may start afresh: --allow-missing {','.join(parts)}"
        )
    if not any(path.startswith("params/") for path in result.arrays):
        raise ValueError("nothing was written: the file shares no parameter with the model")


def _refuse_unsound(arrays, theirs):
    if found := unsound(arrays):
        listed = [
            f"  {path}{f' <- {theirs[path]}' if theirs.get(path) else ''}: {what}"
            for path, what in found.items()
        ]
        more = [f"  and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
        raise ValueError(
            "nothing was written: a model cannot work with these arrays; get the file again, or an "
            "earlier checkpoint of its training\n" + "\n".join(listed[:_LISTED] + more)
        )


def _write(out, variables, provenance, config):
    unfinished = out.with_name(f"{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    config = config.copy_and_resolve_references()
    with config.unlocked():
        config.model.update(dataclasses.asdict(provenance.normalisation))
    card = {
        "name": out.name,
        "summary": f"{provenance.family}, from {provenance.source}",
        "licence": provenance.licence,
        "fresh": provenance.fresh,
    }
    write_exported(unfinished, variables, flatten(config.to_dict()), card, dtype="float32")
    write_provenance(unfinished, provenance)
    write_manifest(unfinished)
    unfinished.replace(out)


def _sha256(checkpoint: Checkpoint) -> str:
    with open(checkpoint.path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _new(path) -> pathlib.Path:
    path = pathlib.Path(path).absolute()
    if path.exists():
        raise FileExistsError(f"{path} is there already: choose another --out or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
