"""Evaluation of a trained model: a workdir's checkpoint on a split, from a config."""

import os
import pathlib
import time

import jax
import tqdm
from ml_collections import ConfigDict

from sor_jax.build import build_model, build_predict, init_variables
from sor_jax.checkpoints.provenance import FILE, read_provenance, with_normalisation
from sor_jax.checkpoints.saved import open_checkpoint
from sor_jax.checkpoints.weights import load_variables
from sor_jax.datasets.source import open_split
from sor_jax.distributed.hosts import duration, is_primary, say, taking_turns
from sor_jax.distributed.sharding import make_mesh, make_predict, replicated
from sor_jax.evaluation.batches import build_eval_batches
from sor_jax.evaluation.loop import evaluate
from sor_jax.metrics.table import table


def evaluate_checkpoint(
    config: ConfigDict,
    workdir: str | os.PathLike,
    *,
    split: str = "test",
    out_dir: str | os.PathLike | None = None,
    prefer: str = "best",
    gallery: int = 24,
) -> dict[str, float | int | None]:
    """Scores the checkpoint of a workdir and prints the table; a bar on a terminal.

    Args:
      config: the one that the model was trained with; config.eval.max_images limits the split.
        The input normalisation is the weights' own.
      workdir: of the training run, or one checkpoint in it, or converted weights.
      split: train, val or test.
      out_dir: see `evaluate`; WORKDIR/evaluation/SPLIT where it is None.
      prefer: "best" (the last where none has a score) or "last".
      gallery: how many photographs are drawn.

    Returns:
      The metrics of `evaluate`.
    """
    provenance = read_provenance(workdir)
    with open_checkpoint(workdir, prefer=prefer) as folder:
        if provenance and provenance.fresh:
            raise ValueError(
                f"{folder} is a start for training, not a whole model: it lacks "
                f"{', '.join(provenance.fresh[:4])}, ..; give it to train.py as config.init_from"
            )
        config = with_normalisation(config, provenance)
        variables = trained_variables(config, folder)
    if out_dir is None:
        out_dir = _run_folder(workdir, folder) / "evaluation" / split
    say(f"{folder}:")
    return evaluate_variables(config, variables, split=split, out_dir=out_dir, gallery=gallery)


def evaluate_variables(
    config: ConfigDict, variables, *, split: str, out_dir: str | os.PathLike, gallery: int = 24
) -> dict[str, float | int | None]:
    """As evaluate_checkpoint, of the variables {"params", "frozen"} of config's model."""
    num_devices = jax.local_device_count()
    batch_size = -(-config.eval.batch_size // num_devices) * num_devices
    mesh = make_mesh(jax.local_devices())
    num_images = len(open_split(config, split))
    num_images = min(num_images, config.eval.max_images or num_images)
    predict = make_predict(build_predict(config, build_model(config)), mesh)
    variables = jax.device_put(variables, replicated(mesh))
    say(f"{num_images} images of {config.data.name} {split}")
    start = time.perf_counter()
    with tqdm.tqdm(total=num_images, unit=" images", disable=None) as bar:
        metrics = evaluate(
            lambda batch: predict(variables, batch),
            build_eval_batches(config, split)(batch_size),
            out_dir=out_dir,
            gallery=gallery if is_primary() else 0,
            progress=bar.update,
            pool=taking_turns,
            summarize=is_primary(),
            targets=config.data.targets,
        )
    say(table(metrics))
    took = duration(time.perf_counter() - start)
    say(f"{took}; numbers, rank maps and gallery are in {out_dir}")
    return metrics


def trained_variables(config: ConfigDict, source: str | os.PathLike):
    """Those of config's model from a workdir, a checkpoint or weights, as of load_variables."""
    config = config.copy_and_resolve_references()
    config.init_from = str(source)  # so that nobody warns of a start without weights
    return load_variables(source, jax.eval_shape(lambda: start_variables(config)))


def start_variables(config: ConfigDict):
    """The variables {"params", "frozen"} of config's model before any training."""
    return init_variables(build_model(config), config, jax.random.key(config.seed))


def _run_folder(workdir, folder) -> pathlib.Path:
    workdir = pathlib.Path(workdir).absolute()
    if workdir == folder and not (folder / FILE).is_file():
        raise ValueError(f"{workdir} is one checkpoint: say with --out where the results go")
    return workdir
