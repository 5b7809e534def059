"""Ranking branches trained on one kind of ranks and scored on all, and people's own orders."""

import time

import numpy as np

from experiments.photographs.ways import in_order
from experiments.tables.paired import sor_difference
from sor_jax.metrics.scoreboard import Scoreboard


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
            results[ranks][ranks].append(detector.branch(row_config, "ppa", seed))
            params = detector.params("ppa", seed)
            for other in detectors.keys() - {ranks}:
                results[ranks][other].append(detectors[other].score(row_config, params))
            print(f"{ranks} seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return results


def people(detectors: dict) -> dict:
    """{order of: {scored on: summary}} of the true masks in the people's own two orders."""
    truths = {ranks: [s.truth for s in each.found()[1]] for ranks, each in detectors.items()}
    results = {ranks: {} for ranks in truths}
    for ranks, own in truths.items():
        for other, judged in truths.items():
            board = Scoreboard()
            for truth, order in zip(judged, own, strict=True):
                board.add(truth, in_order(order, order.rank_order))
            results[ranks][other] = board.result()
    return results


def markdown(results: dict, own: dict) -> str:
    """The table; differences are to the branch that was trained on what is scored."""
    lines = ["| | " + " | ".join(f"SOR multi on {k} | SA-SOR | difference" for k in results) + " |"]
    lines.append("|---" * (1 + 3 * len(results)) + "|")
    for ranks, scored in results.items():
        cells = []
        for other, seeds in scored.items():
            difference = None if ranks == other else sor_difference(seeds, results[other][other])
            cells += [_spread(seeds, "sor_multi"), _spread(seeds, "sa_sor")]
            interval = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*difference) if difference else "--"
            cells.append("" if ranks == other else interval)
        lines.append(f"| trained on {ranks} | " + " | ".join(cells) + " |")
    for ranks, scored in own.items():
        cells = [f"{n['sor_multi']:.3f} | {n['sa_sor']:.3f} | " for n in scored.values()]
        lines.append(f"| true masks in the order of {ranks} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spread(results, key):
    values = [each["summary"][key] for each in results if each["summary"][key] is not None]
    if not values:
        return "--"
    return f"{np.mean(values):.3f}" + (f" ± {np.std(values, ddof=1):.3f}" if values[1:] else "")
