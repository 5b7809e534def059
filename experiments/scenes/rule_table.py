"""How far parts of the rule go: `python -m experiments.scenes.rule_table` prints a table.

Each row paints the true masks of all objects in the order of a simplified rule, the first five of
them, and compares this rank map with the scene's ranks by `sor_multi` (sor_jax.metrics.sor).
"""

import argparse
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from sor_jax.commands import plain_errors
from sor_jax.datasets.scenes import rule
from sor_jax.datasets.scenes.draw import Scene, draw
from sor_jax.metrics.sor import rank_map, sor_image, sor_summary

OWN_TERMS = ("size", "centre", "contrast")
"""The terms that look at one object and what lies around it."""


def rule_table(scenes: Sequence[Scene]) -> dict[str, float]:
    """`sor_multi` of each simplified rule on these scenes."""
    rows = {name: {name: weight} for name, weight in rule.WEIGHTS.items()}
    rows["size + centre"] = {name: rule.WEIGHTS[name] for name in ("size", "centre")}
    rows["all but crowding"] = {name: rule.WEIGHTS[name] for name in OWN_TERMS}
    rows["all but crowding, best weights"] = best_weights(scenes, OWN_TERMS)
    rows["the rule"] = rule.WEIGHTS
    return {name: _sor_multi(scenes, weights) for name, weights in rows.items()}


def best_weights(scenes: Sequence[Scene], names: Sequence[str]) -> dict[str, float]:
    """The weights that order most pairs of ranked objects right, by logistic regression."""
    gaps = []
    for scene in scenes:
        ranked = np.argsort(-scene.rank_order)[: np.count_nonzero(scene.rank_order)]
        values = np.stack([scene.terms[name][ranked] for name in names], axis=1)
        gaps += [values[i] - values[j] for j in range(len(ranked)) for i in range(j)]
    gaps = np.array(gaps)
    fit = minimize(lambda weights: np.logaddexp(0, -gaps @ weights).mean(), np.ones(len(names)))
    return dict(zip(names, fit.x, strict=True))


def _sor_multi(scenes, weights):
    rho, matched, num_objects = [], [], []
    for scene in scenes:
        order = rule.rank_order(rule.score(scene.terms, weights))
        painted = rank_map(scene.masks, _rank_class(order))
        ranked = scene.rank_order > 0
        found = sor_image(painted, scene.masks[ranked], scene.rank_order[ranked])
        rho.append(found[0])
        matched.append(found[1])
        num_objects.append(int(ranked.sum()))
    return sor_summary(rho, matched, num_objects)["sor_multi"]


def _rank_class(rank_order):
    return np.rint(10 * rank_order - 6).astype(int).clip(-1)


def main() -> None:
    """Draws test scenes and prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image_hw", type=int, nargs=2, default=(128, 160))
    args = parser.parse_args()
    scenes = [draw(args.seed, "test", i, image_hw=tuple(args.image_hw)) for i in range(args.count)]
    print(f"| true masks in the order of | sor_multi, {args.count} scenes |\n|---|---|")
    for name, value in rule_table(scenes).items():
        print(f"| {name} | {value:.3f} |")


if __name__ == "__main__":
    with plain_errors():
        main()
