"""Evaluates a trained model: a table, metrics.json, rank maps and a gallery.

    python eval.py --config configs/demo.py --workdir runs/demo [--split test] [--out DIR]
    python eval.py --config configs/reference/centermask.py --weights DIR
    python eval.py --maps DIR [--kind ranked|continuous] --config.data.root=ASSR_FOLDER

--weights: what sor_jax.convert wrote. --maps: grey maps of any method, named after the images
(IMAGE_ID.png); of the config only the data set counts. Every field of the config can be set as in
training, for instance --config.eval.max_images=100.
"""

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform
from sor_jax.distributed import cluster

_JOIN = cluster.flags_to_join()
_CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/base.py", "The config that trained the model."
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the training run, or a checkpoint.")
_WEIGHTS = flags.DEFINE_string("weights", None, "Converted weights, in place of a workdir.")
_MAPS = flags.DEFINE_string("maps", None, "Folder of grey maps to score, in place of a model.")
_KIND = flags.DEFINE_enum(
    "kind",
    "ranked",
    ["ranked", "continuous"],
    "How maps rank objects: by one grey each, or by the mean inside the true mask.",
)
_SPLIT = flags.DEFINE_string("split", "test", "Which split of the data set: train, val or test.")
_OUT = flags.DEFINE_string("out", None, "Folder for the results [WORKDIR/evaluation/SPLIT].")
_CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which one of WORKDIR.")
_GALLERY = flags.DEFINE_integer("gallery", 24, "How many photographs are drawn.")
flags.mark_flags_as_mutual_exclusive(["workdir", "weights", "maps"], required=True)


def main(argv):
    """Hands the flags to the evaluation."""
    if len(argv) > 1:
        raise app.UsageError(f"not a flag: {' '.join(argv[1:])}; all settings are --NAME=VALUE")
    if _MAPS.value:
        score_maps()
        return
    if not flags.FLAGS["config"].present:
        raise app.UsageError("--config is missing: the file that the model was trained with")
    platform.configure()
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # or orbax tells of every file that it reads

    from sor_jax.evaluation.checkpoint import evaluate_checkpoint

    _JOIN()
    with cluster.ends_with_error():
        evaluate_checkpoint(
            _CONFIG.value,
            _WORKDIR.value or _WEIGHTS.value,
            split=_SPLIT.value,
            out_dir=_OUT.value,
            prefer=_CHECKPOINT.value,
            gallery=_GALLERY.value,
        )


def score_maps():
    """Scores the maps of a folder; jax is not needed."""
    from sor_jax.datasets.source import open_split
    from sor_jax.evaluation.maps import evaluate_maps
    from sor_jax.metrics.table import table

    source = open_split(_CONFIG.value, _SPLIT.value)
    metrics = evaluate_maps(source, _MAPS.value, kind=_KIND.value, out_dir=_OUT.value)
    counts = "{maps_scored} maps scored, {maps_missing} missing, {maps_unreadable} unreadable"
    print(counts.format(**metrics), table(metrics), sep="\n")


if __name__ == "__main__":
    app.run(main)
