"""How far people agree, and how far protocols do, by the metrics that models are scored with."""

import collections
from typing import NamedTuple

import numpy as np

from sor_jax.datasets.fixations.protocols import NAMES, OF_DENSITY, Evidence, rank_values, why_not
from sor_jax.datasets.record import rank_classes
from sor_jax.metrics.sa_sor import mean_defined, sa_sor_image
from sor_jax.metrics.sor import rank_map, sor_image, sor_summary


class Row(NamedTuple):
    """One photograph: one ranking scored against another that is taken as the truth."""

    rho: float | None
    matched: int
    objects: int
    sa_sor: float | None


def compare(truth: np.ndarray, other: np.ndarray, masks: np.ndarray, iou: np.ndarray) -> Row:
    """Scores rank values f[n] against others, taken as the truth, of the same n objects.

    Args:
      truth: 1.0 .9 .8 .7 .6, at most .5 for an object without a rank.
      other: the same.
      masks: bool[n, h, w]; pixels of no object may be missing.
      iou: f[n, n] of the masks.
    """
    own, ranked = np.flatnonzero(truth > 0.5), np.flatnonzero(other > 0.5)
    classes = rank_classes(other[ranked])
    rho, matched = sor_image(rank_map(masks[ranked], classes), masks[own], truth[own])
    sa_sor = sa_sor_image(iou[np.ix_(own, ranked)], classes, truth[own])
    return Row(rho, matched, len(own), sa_sor)


class Agreement:
    """Collects photographs; people are split at random into halves, of which each gives ranks.

    Attributes:
      halvings: how many random halvings of the people each photograph sees.
      seed: of the halvings; that of a photograph depends on it and on the photograph's number.
    """

    def __init__(self, *, halvings: int, seed: int):
        if halvings < 1:
            raise ValueError(f"{halvings} halvings of the people; at least 1 is expected")
        self.halvings, self.seed = halvings, seed
        # By (protocol, halving), and by (truth, other).
        self._people: dict[tuple[str, int], list[Row]] = collections.defaultdict(list)
        self._protocols: dict[tuple[str, str], list[Row]] = collections.defaultdict(list)
        self._count = 0

    def add(
        self, evidence: Evidence, values: dict[str, np.ndarray], masks: np.ndarray, iou: np.ndarray
    ) -> None:
        """One photograph: evidence, and the rank values of each protocol that it serves."""
        seen = masks.any(axis=0)
        flat = masks[:, seen][:, None, :]  # no metric looks at pixels of no object
        for truth in values:
            for other in values:
                if truth != other:
                    row = compare(values[truth], values[other], flat, iou)
                    self._protocols[truth, other].append(row)
        looks = evidence.looks
        if looks is not None and looks.num_people >= 2:
            rng = np.random.default_rng((self.seed, self._count))
            for halving in range(self.halvings):
                people = rng.permutation(looks.num_people)
                half = len(people) // 2
                one, two = (evidence.of_people(part) for part in (people[:half], people[half:]))
                for protocol in values.keys() - set(OF_DENSITY):
                    if why_not(protocol, evidence) is None:
                        ranks = rank_values(protocol, one), rank_values(protocol, two)
                        self._people[protocol, halving].append(compare(*ranks, flat, iou))
        self._count += 1

    def of_people(self) -> dict[str, dict]:
        """By protocol the numbers of `scores`, means over the halvings, with sa_sor_deviation."""
        result = {}
        known = {protocol for protocol, _ in self._people}
        for protocol in [name for name in NAMES if name in known]:
            each = [scores(self._people[protocol, index]) for index in range(self.halvings)]
            result[protocol] = {
                name: mean_defined([one[name] for one in each]) for name in each[0]
            } | {"sa_sor_deviation": _deviation([one["sa_sor"] for one in each])}
        return result

    def of_protocols(self) -> dict[str, dict[str, dict]]:
        """The numbers of `scores` by the protocol taken as the truth, then by the other."""
        result: dict[str, dict[str, dict]] = collections.defaultdict(dict)
        for (truth, other), rows in self._protocols.items():
            result[truth][other] = scores(rows)
        return dict(result)


def scores(rows: list[Row]) -> dict[str, float | int | None]:
    """sa_sor and the numbers of `sor_summary` of some photographs; None = undefined."""
    rho, matched, objects, sa_sor = zip(*rows, strict=True)
    return {"sa_sor": mean_defined(sa_sor)} | sor_summary(rho, matched, objects)


def _deviation(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.std(defined)) if defined else None
