"""What people vote for and where they look: branches trained on either kind of ranks, each scored
on both.

    python -m experiments.photographs.rank_fields --config configs/lite0_pascal_s.py \
        --detector runs/lite0 --config.data.root=FOLDER --out results/rank_fields

One trained detector is fixed; of each kind of ranks and seed only a ranking branch is trained on
its regions. Regions and branches are kept in --workdir. Writes rank_fields.md and .json.
"""

import pathlib

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform
from sor_jax.files import write_json, write_whole

_CONFIG = config_flags.DEFINE_config_file("config", None, "The detector, and the photographs.")
_DETECTOR = flags.DEFINE_string("detector", None, "Workdir of its training.")
_RANKS = flags.DEFINE_multi_string(
    "ranks", ["rank_order", "rank_order_fix"], "The folders of ranks to compare."
)
_SEEDS = flags.DEFINE_integer("seeds", 5, "Branches of each kind.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 7, "Of a branch.", lower_bound=1)
_SPLIT = flags.DEFINE_enum("split", "test", ["val", "test"], "The photographs to score.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/rank_fields", "Keeps regions and branches.")
_OUT = flags.DEFINE_string("out", "results", "Takes the table.")


def main(_):
    """Trains what is left to train and writes the table."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.photographs.kinds import compare, markdown, people
    from experiments.tables.branches import Schedule
    from experiments.tables.shared_tables import on_detector

    detectors = {}
    for ranks in _RANKS.value:
        config = _CONFIG.value.copy_and_resolve_references()
        config.data.rank_field = ranks
        detectors[ranks] = on_detector(
            *(config, _DETECTOR.value, pathlib.Path(_WORKDIR.value) / ranks),
            schedule=Schedule(epochs=_EPOCHS.value),
            shrink=2,
            split=_SPLIT.value,
        )
    results = compare(detectors, _CONFIG.value, _SEEDS.value)
    own = people(detectors)
    out, text = pathlib.Path(_OUT.value), markdown(results, own)
    write_json(out / "rank_fields.json", {"branches": results, "people": own})
    write_whole(out / "rank_fields.md", text)
    print(text)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "detector"])
    commands.run(main)
