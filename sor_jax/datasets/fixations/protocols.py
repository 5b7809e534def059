"""From what people looked at to ranks, by the name of a protocol.

`first`: the objects of each person, in the order of first look, get 1.0, .9, .8, ..; a repeated one
counts once, from the eleventh on all get 0; the score is the mean over all people. `people`: how
many look at the object. `count`: fixations. `duration`: their milliseconds. `density_peak` and
`density_mean`: the highest and the mean value of the density over the object's own pixels.

Equal scores: more people, then more fixations, then the larger mask, then the file's order. An
object nobody looked at has no rank; a density says so by 0, fixations beside it by none on the
object's own pixels. The five highest get 1.0 .9 .8 .7 .6.
"""

import dataclasses

import numpy as np

from sor_jax.datasets.fixations.looks import Looks
from sor_jax.datasets.fixations.objects import NONE
from sor_jax.datasets.record import NUM_RANKS

NAMES = ("first", "people", "count", "duration", "density_peak", "density_mean")
OF_DENSITY = ("density_peak", "density_mean")


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of the n objects of one photograph.

    Attributes:
      area: i[n] pixels of the masks.
      looks: the fixations, None where there are none to read.
      on: i[m] the object of each of the m fixations, NONE for none.
      seen: bool[n] whether a fixation is on the object's own pixels; None without `looks`.
      peak: f[n], and mean: f[n], of the density over own pixels; None without a density.
    """

    area: np.ndarray
    looks: Looks | None = None
    on: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    seen: np.ndarray | None = None
    peak: np.ndarray | None = None
    mean: np.ndarray | None = None

    def of_people(self, people: np.ndarray) -> "Evidence":
        """What some of the people looked at; `people` are numbers of persons. No density.

        Raises ValueError where people are not told apart.
        """
        looks, person = self._by_person()
        chosen = np.isin(person, people)
        theirs = Looks(
            xy=looks.xy[chosen],
            person=np.searchsorted(np.sort(people), person[chosen]),
            num_people=len(people),
            duration=None if looks.duration is None else looks.duration[chosen],
            is_ordered=looks.is_ordered,
        )
        return Evidence(area=self.area, looks=theirs, on=self.on[chosen])

    def _by_person(self) -> tuple[Looks, np.ndarray]:
        """The fixations, and whose each is."""
        if self.looks is None or self.looks.person is None:
            raise ValueError("fixations of people who are told apart are needed; there are none")
        return self.looks, self.looks.person


def density_on(density: np.ndarray, owner: np.ndarray, num_objects: int):
    """(peak f[n], mean f[n]) of a density f[h, w] over own pixels i[h, w]; 0 without a pixel."""
    peak, mean = np.zeros(num_objects), np.zeros(num_objects)
    for index in np.unique(owner[owner != NONE]):
        own = density[owner == index]
        peak[index], mean[index] = own.max(), own.mean()
    return peak, mean


def why_not(protocol: str, evidence: Evidence) -> str | None:
    """What the input lacks for a protocol; None where it has all."""
    looks = evidence.looks
    if protocol in OF_DENSITY:
        return "a density for each photograph (--density)" if evidence.peak is None else None
    if looks is None:
        return "fixations (--fixations)"
    if protocol in ("first", "people") and looks.person is None:
        return "fixations of people who are told apart; here those of all people are one heap"
    if protocol == "first" and not looks.is_ordered:
        return "the order in which each person looked: a column t, or scanpaths in JSON"
    if protocol == "duration" and looks.duration is None:
        return "the duration of each fixation in milliseconds"
    return None


def score(protocol: str, evidence: Evidence) -> np.ndarray:
    """f64[n] the score of every object, larger = more salient. Raises ValueError, see `why_not`."""
    lacking = why_not(protocol, evidence)
    if lacking:
        raise ValueError(f"protocol {protocol} needs {lacking}")
    if protocol in OF_DENSITY:
        return np.asarray(evidence.peak if protocol == "density_peak" else evidence.mean)
    if protocol == "first":
        return _first_looks(evidence)
    if protocol == "people":
        return _people(evidence).astype(np.float64)
    if protocol == "count":
        return _count(evidence).astype(np.float64)
    looks = evidence.looks
    assert looks is not None and looks.duration is not None  # or `why_not` had said so
    return _per_object(evidence, looks.duration)


def rank_values(protocol: str, evidence: Evidence) -> np.ndarray:
    """f64[n] 1.0 .9 .8 .7 .6 for ranks 1 to 5, 0 for an object without a rank."""
    scores = score(protocol, evidence)
    count, people = _count(evidence), _people(evidence)
    seen = count > 0
    if protocol in OF_DENSITY:
        seen = scores > 0 if evidence.seen is None else evidence.seen
    order = np.lexsort((-evidence.area, -count, -people, -scores))  # stable; the last key leads
    values = np.zeros(len(scores))
    ranked = order[seen[order]][:NUM_RANKS]
    values[ranked] = np.arange(10, 10 - len(ranked), -1) / 10
    return values


def _per_object(evidence: Evidence, weights: np.ndarray) -> np.ndarray:
    hit = evidence.on != NONE
    return np.bincount(evidence.on[hit], weights[hit], minlength=len(evidence.area))


def _count(evidence: Evidence) -> np.ndarray:
    if evidence.looks is None:
        return np.zeros(len(evidence.area), np.int64)
    return _per_object(evidence, np.ones(len(evidence.on))).astype(np.int64)


def _first_looks(evidence: Evidence) -> np.ndarray:
    """f64[n]: 1.0, .9, .8, .. for each person's objects by first look, the mean over people."""
    looks, whose = evidence._by_person()
    tenths = np.zeros(len(evidence.area), np.int64)
    for person in range(looks.num_people):
        on = evidence.on[whose == person]
        objects, first = np.unique(on[on != NONE], return_index=True)
        in_order = objects[np.argsort(first)][:10]
        tenths[in_order] += np.arange(10, 10 - len(in_order), -1)
    return tenths / (10.0 * max(looks.num_people, 1))


def _people(evidence: Evidence) -> np.ndarray:
    """i64[n] how many people look at each object; all 0 where people are not told apart."""
    looks = evidence.looks
    if looks is None or looks.person is None:
        return np.zeros(len(evidence.area), np.int64)
    hit = evidence.on != NONE
    pairs = np.unique(np.stack([looks.person[hit], evidence.on[hit]]), axis=1)
    return np.bincount(pairs[1], minlength=len(evidence.area))
