"""Evaluates a trained model: a table, metrics.json, rank maps and a gallery.

    python eval.py --workdir runs/demo [--split test] [--out DIR] [--config.FIELD=VALUE ...]
    python eval.py --weights lite0|DIR
    python eval.py --maps DIR [--kind ranked|continuous] --config.data.root=ASSR_FOLDER

A model is evaluated with the config that it was trained or converted with, the config.json in its
folder; what --config.FIELD=VALUE sets beside that is printed and stands in metrics.json. --weights:
a shipped model (`sor-jax models` lists them) or what sor_jax.convert wrote. --maps: grey maps of
any method, named after the images (IMAGE_ID.png); of the config only the data set counts.
"""

import os

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform, pretrained
from sor_jax.distributed import cluster

_JOIN = cluster.flags_to_join()
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    str(commands.ROOT / "configs" / "base.py"),
    "A config, for a model that has no config.json, or a data set for --maps.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the training run, or a checkpoint.")
_WEIGHTS = flags.DEFINE_string(
    "weights", None, "A shipped model's name or a folder of converted weights, for a workdir."
)
_MAPS = flags.DEFINE_string("maps", None, "Folder of grey maps to score, in place of a model.")
_KIND = flags.DEFINE_enum(
    "kind",
    "ranked",
    ["ranked", "continuous"],
    "How maps rank objects: by one grey each, or by the mean inside the true mask.",
)
_SPLIT = flags.DEFINE_string("split", "test", "Which split of the data set: train, val or test.")
_OUT = flags.DEFINE_string(
    "out",
    None,
    "Folder for the results [WORKDIR/evaluation/SPLIT; of a shipped model results/NAME/SPLIT].",
)
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of WORKDIR.")
_GALLERY = flags.DEFINE_integer("gallery", 24, "How many photographs are drawn.", lower_bound=0)
_PREDICTIONS = flags.DEFINE_bool(
    "predictions", False, "Also write predictions.json: all detections as COCO JSON, with ranks."
)
flags.mark_flags_as_mutual_exclusive(["workdir", "weights", "maps"], required=True)


def main(argv):
    """Hands the flags to the evaluation."""
    del argv
    out = os.path.expanduser(_OUT.value) if _OUT.value else None
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # or orbax and TFDS tell of every file they read
    if _MAPS.value:
        if _PREDICTIONS.value:
            raise ValueError("--predictions writes what a model finds; --maps has no model")
        score_maps(os.path.expanduser(_MAPS.value), out)
        return
    platform.configure()

    from sor_jax.checkpoints.run_config import run_config
    from sor_jax.evaluation.checkpoint import evaluate_checkpoint

    _JOIN()
    if _WEIGHTS.value:
        source = str(pretrained.find(_WEIGHTS.value))
        if out is None and _WEIGHTS.value in pretrained.names():  # not into the package
            out = os.path.join("results", _WEIGHTS.value, _SPLIT.value)
    else:
        source = os.path.expanduser(_WORKDIR.value)
    with cluster.ends_with_error():
        evaluate_checkpoint(
            run_config(flags.FLAGS["config"], source),
            source,
            split=_SPLIT.value,
            out_dir=out,
            prefer=_CHECKPOINT.value,
            gallery=_GALLERY.value,
            predictions=_PREDICTIONS.value,
        )


def score_maps(folder, out):
    """Scores the maps of a folder; jax is not needed."""
    from sor_jax.config import validate
    from sor_jax.datasets.source import open_split, protocol
    from sor_jax.evaluation.maps import evaluate_maps
    from sor_jax.metrics.scoreboard import table

    config = validate(_CONFIG.value)
    source = open_split(config, _SPLIT.value)
    metrics = evaluate_maps(source, folder, kind=_KIND.value, out_dir=out)
    counts = "{maps_scored} maps scored, {maps_missing} missing, {maps_unreadable} unreadable"
    print(counts.format(**metrics), table(metrics), sep="\n")
    print(f"protocol: {protocol(config.data.name)}")


if __name__ == "__main__":
    commands.run(main)
