"""Scores trained models on photographs, beside rules, beside themselves untrained and helped.

    python -m experiments.photographs --config configs/lite0_pascal_s.py \
        --model votes=runs/lite0 [--model fixations=runs/lite0_fix] --out DIR \
        --data "PASCAL-S test=FOLDER:test" --data "COCO and SALICON=FOLDER2:train,val,test"

Writes report.md, results.json and, of each model and data set, best.png and worst.png. With
--ranks rank_order --ranks rank_order_fix every model is scored on both ranks of the objects.
"""

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform

_CONFIG = config_flags.DEFINE_config_file("config", None, "Describes the models.")
_MODELS = flags.DEFINE_multi_string("model", [], "NAME=workdir, checkpoint or weights.")
_DATA = flags.DEFINE_multi_string("data", None, "NAME=FOLDER:split,split in ASSR layout.")
_RANKS = flags.DEFINE_multi_string("ranks", ["rank_order"], "The folders of ranks to score on.")
_OUT = flags.DEFINE_string("out", None, "Takes report.md, results.json and the galleries.")


def main(_):
    """Hands the flags to the report."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.photographs.report import write_report

    models = dict(given.split("=", 1) for given in _MODELS.value)
    data = dict(given.split("=", 1) for given in _DATA.value)
    write_report(_CONFIG.value, models, data, _RANKS.value, _OUT.value)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "data", "out"])
    commands.run(main)
