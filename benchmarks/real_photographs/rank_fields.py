"""What people vote for and where they look: branches trained on either kind of ranks, each scored
on both.

    python -m benchmarks.real_photographs.rank_fields --config configs/lite0_pascal_s.py \
        --detector runs/lite0 --config.data.root=FOLDER --out results/rank_fields

One trained detector is fixed; of each kind of ranks and seed only a ranking branch is trained on
its regions. Regions and branches are kept in --workdir. Writes rank_fields.md and .json.
"""

import pathlib
import time

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform
from sor_jax.files import write_json, write_whole

_CONFIG = config_flags.DEFINE_config_file("config", None, "The detector, and the photographs.")
_DETECTOR = flags.DEFINE_string("detector", None, "Workdir of its training.")
_RANKS = flags.DEFINE_multi_string(
    "ranks", ["rank_order", "rank_order_fix"], "The folders of ranks to compare."
)
_SEEDS = flags.DEFINE_integer("seeds", 5, "Branches of each kind.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Of a branch.", lower_bound=1)
_SPLIT = flags.DEFINE_enum("split", "test", ["val", "test"], "The photographs to score.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/rank_fields", "Keeps regions and branches.")
_OUT = flags.DEFINE_string("out", "results", "Takes the table.")
flags.mark_flags_as_required(["config", "detector"])


def compare(detectors: dict, row_config, seeds: int) -> dict:
    """{trained on: {scored on: [the result of each seed]}}.

    Args:
      detectors: kind of ranks -> SharedDetector of the same weights.
      row_config: whose model.ranking the branches are.
      seeds: branches of each kind.
    """
    results = {ranks: {other: [] for other in detectors} for ranks in detectors}
    for ranks, detector in detectors.items():
        for seed in range(seeds):
            start = time.perf_counter()
            detector.branch(row_config, "ppa", seed)
            for other, judge in detectors.items():
                results[ranks][other].append(judge.score(row_config, detector.params("ppa", seed)))
            print(f"{ranks} seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return results


def people(detectors: dict) -> dict:
    """{order of: {scored on: summary}} of the true masks in the people's own two orders."""
    from benchmarks.real_photographs.rules import in_order
    from sor_jax.metrics.scoreboard import Scoreboard

    truths = {ranks: [s.truth for s in each.found()[1]] for ranks, each in detectors.items()}
    results = {}
    for ranks, own in truths.items():
        results[ranks] = {}
        for other, judged in truths.items():
            board = Scoreboard()
            for truth, order in zip(judged, own, strict=True):
                board.add(truth, in_order(order, order.rank_order))
            results[ranks][other] = board.result()
    return results


def markdown(results: dict, own: dict) -> str:
    """The table; differences are to the branch that was trained on what is scored."""
    from sor_jax.reproduce.paired import paired_difference
    from sor_jax.reproduce.shared import rho_of

    kinds = list(results)
    lines = ["| | " + " | ".join(f"SOR multi on {k} | SA-SOR | difference" for k in kinds) + " |"]
    lines.append("|---" * (1 + 3 * len(kinds)) + "|")
    for ranks in kinds:
        cells = []
        for other in kinds:
            cells += [_spread(results[ranks][other], "sor_multi")]
            cells += [_spread(results[ranks][other], "sa_sor")]
            pair = (rho_of(results[ranks][other]) / 2, rho_of(results[other][other]) / 2)
            cells.append("" if ranks == other else _interval(paired_difference(*pair)))
        lines.append(f"| trained on {ranks} | " + " | ".join(cells) + " |")
    for ranks in kinds:
        cells = []
        for other in kinds:
            numbers = own[ranks][other]
            cells += [f"{numbers['sor_multi']:.3f}", f"{numbers['sa_sor']:.3f}", ""]
        lines.append(f"| true masks in the order of {ranks} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(results, key):
    import numpy as np

    values = [each["summary"][key] for each in results if each["summary"][key] is not None]
    if not values:
        return "--"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if values[1:] else "")


def _interval(difference):
    return "--" if difference is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*difference)


def main(_):
    """Trains what is left to train and writes the table."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)
    from sor_jax.reproduce.branches import Schedule
    from sor_jax.reproduce.shared_tables import on_detector

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
    out = pathlib.Path(_OUT.value)
    text = markdown(results, own)
    write_json(out / "rank_fields.json", {"branches": results, "people": own})
    write_whole(out / "rank_fields.md", text)
    print(text)


if __name__ == "__main__":
    app.run(main)
