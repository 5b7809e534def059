"""Evaluation of a trained model: a workdir's checkpoint on a split, from a config."""

import os
import pathlib
import time
from typing import Any

import jax
import tqdm
from ml_collections import ConfigDict

from sor_jax.checkpoints.exported import is_exported, read_exported
from sor_jax.checkpoints.model import refuse_a_start, trained_variables
from sor_jax.checkpoints.provenance import FILE, read_provenance, with_normalisation
from sor_jax.checkpoints.run_config import differences
from sor_jax.checkpoints.saved import open_checkpoint
from sor_jax.datasets.source import protocol
from sor_jax.distributed.hosts import duration, from_all, is_primary, say, taking_turns
from sor_jax.distributed.sharding import make_mesh, make_predict, replicated
from sor_jax.evaluation.batches import EvalBatches
from sor_jax.evaluation.loop import evaluate
from sor_jax.metrics.scoreboard import table
from sor_jax.programs import prediction


def evaluate_checkpoint(
    config: ConfigDict,
    workdir: str | os.PathLike,
    *,
    split: str = "test",
    out_dir: str | os.PathLike | None = None,
    prefer: str = "best",
    gallery: int = 24,
    predictions: bool = False,
) -> dict[str, float | int | None]:
    """Scores the checkpoint of a workdir and prints the table; a bar on a terminal.

    Where `config` differs from the config.json that the model keeps, every such field is printed
    and stands in metrics.json as "config_differences", {field: [the model's, the one used]}.

    Args:
      config: the one that the model was trained with, see checkpoints.run_config;
        config.eval.max_images limits the split. The input normalisation is the weights' own.
      workdir: of the training run, or one checkpoint in it, or converted weights.
      split: train, val or test.
      out_dir: see `evaluate`; WORKDIR/evaluation/SPLIT where it is None.
      prefer: "best" (the last where none has a score) or "last".
      gallery: how many photographs are drawn.
      predictions: whether predictions.json, COCO JSON, is written, too.

    Returns:
      The metrics of `evaluate`.
    """
    provenance = read_provenance(workdir)
    with open_checkpoint(workdir, prefer=prefer) as folder:
        refuse_a_start(folder, provenance.fresh if provenance else ())
        config = with_normalisation(config, provenance)
        if is_exported(folder):  # compiling finds out whether they are of this model
            variables = read_exported(folder).variables
        else:
            variables = trained_variables(config, folder)
    if out_dir is None:
        out_dir = _run_folder(workdir, folder) / "evaluation" / split
    say(f"{folder}:")
    changed = differences(config, workdir)
    for name, (own, used) in changed.items():
        say(f"config.{name} is {used!r} here; the model was made with {own!r}")
    return evaluate_variables(
        config,
        variables,
        split=split,
        out_dir=out_dir,
        gallery=gallery,
        predictions=predictions,
        facts={"checkpoint": str(folder), "config_differences": changed},
    )


def evaluate_variables(
    config: ConfigDict,
    variables,
    *,
    split: str,
    out_dir: str | os.PathLike,
    gallery: int = 24,
    predictions: bool = False,
    facts: dict[str, Any] | None = None,
) -> dict[str, float | int | None]:
    """As evaluate_checkpoint, of the variables {"params", "frozen"} of config's model.

    metrics.json says beside the metrics how many records were left out and why, and `facts`.
    """
    num_devices = jax.local_device_count()
    mesh = make_mesh(jax.local_devices())
    batches = EvalBatches(config, split)
    most = max(-(-batches.num_images // jax.process_count()), 1)
    batch_size = -(-min(config.eval.batch_size, most) // num_devices) * num_devices
    predict = make_predict(
        prediction(config, variables, batch_size, is_kept=num_devices == 1), mesh
    )
    variables = jax.device_put(variables, replicated(mesh))
    say(f"{batches.num_images} images of {config.data.name} {split}")
    left_out = []

    def pool(images):
        left_out.extend(sorted(set().union(*from_all(batches.left_out))))
        return taking_turns(images)

    start = time.perf_counter()
    with tqdm.tqdm(total=batches.num_images, unit=" images", disable=None) as bar:
        metrics = evaluate(
            lambda batch: predict(variables, batch),
            batches(batch_size),
            out_dir=out_dir,
            gallery=gallery if is_primary() else 0,
            predictions=predictions,
            progress=bar.update,
            pool=pool,
            summarize=is_primary(),
            targets=config.data.targets,
            facts=lambda: {
                "images_in_split": batches.in_split,
                "records_left_out": len(left_out),
                "left_out": left_out,
                "protocol": protocol(config.data.name),
                **(facts or {}),
            },
        )
    say(table(metrics))
    _say_what_counts(config, batches, left_out)
    took = duration(time.perf_counter() - start)
    say(f"{took}; numbers, rank maps and gallery are in {out_dir}")
    return metrics


def _say_what_counts(config: ConfigDict, batches: EvalBatches, left_out: list[str]) -> None:
    """The protocol, and which images of the split the numbers do not cover."""
    say(f"protocol: {protocol(config.data.name)}")
    if batches.num_images < batches.in_split:
        say(
            f"only the first {batches.num_images} of {batches.in_split} images, as "
            "config.eval.max_images says; --config.eval.max_images=0 takes all"
        )
    if left_out:
        say(f"{len(left_out)} records were left out, for instance {left_out[0]}")


def _run_folder(workdir, folder) -> pathlib.Path:
    workdir = pathlib.Path(workdir).absolute()
    if workdir == folder and not (folder / FILE).is_file():
        raise ValueError(f"{workdir} is one checkpoint: say with --out where the results go")
    return workdir
