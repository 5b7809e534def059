"""Protocols by hand-worked cases and against plain loops; agreement by known answers."""

import math

import numpy as np
import pytest

from sor_jax.datasets.fixations import protocols
from sor_jax.datasets.fixations.agreement import Agreement, compare, scores
from sor_jax.datasets.fixations.looks import Looks, looks_of_people
from sor_jax.datasets.fixations.objects import objects_looked_at, outside, own_pixels
from sor_jax.datasets.fixations.protocols import Evidence, density_on, rank_values, score, why_not

HW = (12, 16)


def box(x0, y0, x1, y1):
    mask = np.zeros(HW, bool)
    mask[y0:y1, x0:x1] = True
    return mask


# Object 1 lies on object 0; 2 stands alone; nobody looks at 3.
MASKS = np.stack([box(0, 0, 8, 8), box(2, 2, 5, 5), box(10, 6, 14, 10), box(14, 0, 16, 2)])
ON_0, ON_1, ON_2, OFF = (6.5, 6.5), (3.2, 3.9), (10.0, 6.0), (9.5, 1.5)


def scanpath(*looks):
    """[(x, y), milliseconds] of one person."""
    return np.asarray([[x, y, duration] for (x, y), duration in looks], float).reshape(-1, 3)


PEOPLE = [
    scanpath((OFF, 50), (ON_1, 200), (ON_0, 100), (ON_1, 300), (ON_2, 100)),
    scanpath((ON_0, 150), (ON_1, 100)),
    scanpath((ON_0, 600)),
    scanpath((OFF, 900)),
]


def evidence(looks, masks=MASKS, *, margin=0.0, density=None):
    owner = own_pixels(masks)
    on = objects_looked_at(looks, owner, margin=margin)
    seen = np.bincount(objects_looked_at(looks, owner) + 1, minlength=len(masks) + 1)[1:] > 0
    known = {"looks": looks, "on": on, "seen": seen}
    if density is not None:
        known["peak"], known["mean"] = density_on(density, owner, len(masks))
    return Evidence(area=masks.sum(axis=(1, 2)), **known)


def test_a_pixel_belongs_to_the_smallest_mask():
    owner = own_pixels(MASKS)
    assert owner[3, 3] == 1 and owner[0, 0] == 0 and owner[6, 10] == 2 and owner[11, 0] == -1
    assert (owner == 0).sum() == 64 - 9


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        # Person 1 sees 1, 0, 2; person 2 sees 0, 1; person 3 sees 0; person 4 none: of four people.
        ("first", [(0.9 + 1.0 + 1.0) / 4, (1.0 + 0.9) / 4, 0.8 / 4, 0]),
        ("people", [3, 2, 1, 0]),
        ("count", [3, 3, 1, 0]),
        ("duration", [850, 600, 100, 0]),
    ],
)
def test_scores_worked_by_hand(protocol, expected):
    found = evidence(looks_of_people(PEOPLE))
    np.testing.assert_allclose(score(protocol, found), expected, rtol=1e-12)
    # Objects 0 and 1 have three fixations each: more people look at 0.
    assert rank_values(protocol, found).tolist() == [1.0, 0.9, 0.8, 0.0]


def test_density_over_own_pixels():
    density = np.zeros(HW)
    density[3, 3], density[0, 0], density[7, 7], density[8, 12] = 200, 90, 110, 64
    found = evidence(looks_of_people(PEOPLE), density=density)
    assert score("density_peak", found).tolist() == [110, 200, 64, 0]
    np.testing.assert_allclose(score("density_mean", found), [200 / 55, 200 / 9, 4, 0])
    assert rank_values("density_peak", found).tolist() == [0.9, 1.0, 0.8, 0.0]
    assert rank_values("density_mean", found).tolist() == [0.8, 1.0, 0.9, 0.0]


def test_an_object_that_only_the_density_reaches_has_no_rank_where_fixations_are_given():
    density = np.full(HW, 7.0)
    looks = looks_of_people([scanpath((ON_2, 100))])
    assert rank_values("density_peak", evidence(looks, density=density)).tolist() == [0, 0, 1.0, 0]
    peak, mean = density_on(density, own_pixels(MASKS), 4)
    alone = Evidence(area=MASKS.sum(axis=(1, 2)), peak=peak, mean=mean)
    assert rank_values("density_peak", alone).tolist() == [1.0, 0.8, 0.9, 0.7]  # ties: by area


def test_ties_go_by_people_then_count_then_area_then_order():
    twice = [scanpath((ON_1, 100), (ON_1, 100)), scanpath((ON_0, 100)), scanpath((ON_0, 100))]
    assert rank_values("duration", evidence(looks_of_people(twice)))[:2].tolist() == [1.0, 0.9]
    more = [scanpath((ON_2, 50), (ON_0, 100), (ON_2, 50))]
    assert rank_values("duration", evidence(looks_of_people(more)))[[0, 2]].tolist() == [0.9, 1.0]
    once = [scanpath((ON_2, 100), (ON_0, 100))]
    assert rank_values("duration", evidence(looks_of_people(once)))[[0, 2]].tolist() == [1.0, 0.9]
    alike = np.stack([box(0, 0, 2, 2), box(4, 4, 6, 6), box(8, 8, 10, 10)])
    looks = Looks(xy=np.asarray([[9.0, 9.0], [1.0, 1.0], [5.0, 5.0]]))
    assert rank_values("count", evidence(looks, alike)).tolist() == [1.0, 0.9, 0.8]


def test_more_than_ten_objects_of_one_person_and_more_than_five_ranks():
    masks = np.stack([box(x, y, x + 1, y + 1) for y in range(0, 8, 4) for x in range(0, 14, 2)])
    order = [5, 3, 0, 1, 2, 4, 6, 7, 8, 9, 10, 11, 13]  # 12 is not looked at
    centres = [np.argwhere(masks[index])[0][::-1] + 0.5 for index in order]
    found = evidence(looks_of_people([np.asarray(centres)]), masks)
    expected = np.zeros(14)
    expected[order[:10]] = np.arange(10, 0, -1) / 10
    np.testing.assert_allclose(score("first", found), expected)
    values = rank_values("first", found)
    assert values[order[:5]].tolist() == [1.0, 0.9, 0.8, 0.7, 0.6]
    assert np.count_nonzero(values) == 5


def test_a_fixation_off_every_object_goes_to_the_nearest_within_the_margin():
    owner = own_pixels(MASKS)
    # 1.5 and 2 pixels from the centres at x = 7.5; 2.5 from object 2; outside below; far away.
    xy = np.asarray([[9.0, 4.5], [9.5, 4.5], [8.0, 8.5], [0.5, 14.5], [15.5, 11.5]])
    looks = Looks(xy=xy)
    assert objects_looked_at(looks, owner).tolist() == [-1] * 5
    assert objects_looked_at(looks, owner, margin=1.5).tolist() == [0, -1, 0, -1, -1]
    assert objects_looked_at(looks, owner, margin=2.0).tolist() == [0, 0, 0, -1, -1]
    assert objects_looked_at(looks, owner, margin=7.0).tolist() == [0, 0, 0, 0, 2]
    assert outside(looks, HW) == 1


def test_a_point_equally_near_goes_to_the_smaller_object():
    masks = np.stack([box(0, 0, 3, 3), box(5, 0, 6, 3)])
    looks = Looks(xy=np.asarray([[4.0, 1.5]]))
    assert objects_looked_at(looks, own_pixels(masks), margin=3).tolist() == [1]


def naive_rank_values(protocol, masks, paths, margin):
    """Loops over people, fixations and pixels."""
    height, width = masks.shape[1:]
    areas = [int(mask.sum()) for mask in masks]

    def object_at(x, y):
        row, column = math.floor(y), math.floor(x)
        if 0 <= row < height and 0 <= column < width:
            covering = [k for k in range(len(masks)) if masks[k, row, column]]
            if covering:
                return min(covering, key=lambda k: (areas[k], -k))
        best = (margin, None, None)
        own = {k: [] for k in range(len(masks))}
        for i in range(height):
            for j in range(width):
                covering = [k for k in range(len(masks)) if masks[k, i, j]]
                if covering:
                    own[min(covering, key=lambda k: (areas[k], -k))].append((i, j))
        for k in sorted(own, key=lambda k: (len(own[k]), k)):
            for i, j in own[k]:
                away = math.hypot(j + 0.5 - x, i + 0.5 - y)
                if away < best[0] or (best[1] is None and away <= margin):
                    best = (away, k, None)
        return best[1]

    totals = {k: [0, 0, 0.0, 0] for k in range(len(masks))}  # people, count, duration, tenths
    for path in paths:
        order = []
        for x, y, duration in path:
            k = object_at(x, y)
            if k is None:
                continue
            totals[k][1] += 1
            totals[k][2] += duration
            if k not in order:
                order.append(k)
        for place, k in enumerate(order):
            totals[k][0] += 1
            totals[k][3] += max(10 - place, 0)
    own_score = {"people": 0, "count": 1, "duration": 2, "first": 3}[protocol]
    order = sorted(
        (k for k in totals if totals[k][1]),
        key=lambda k: (-totals[k][own_score], -totals[k][0], -totals[k][1], -areas[k], k),
    )
    values = [0.0] * len(masks)
    for place, k in enumerate(order[:5]):
        values[k] = (10 - place) / 10
    return values


@pytest.mark.parametrize("seed", range(12))
def test_protocols_match_loops(seed):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 10, (rng.integers(1, 8), 2))
    sides = rng.integers(1, 7, corners.shape)
    masks = np.stack(
        [box(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sides, strict=True)]
    )
    paths = [
        np.column_stack([rng.uniform(-2, 18, (m, 2)), rng.integers(1, 6, m) * 50.0])
        for m in rng.integers(0, 7, 5)
    ]
    margin = [0.0, 1.7][seed % 2]
    found = evidence(looks_of_people(paths), masks, margin=margin)
    for protocol in ("first", "people", "count", "duration"):
        expected = naive_rank_values(protocol, masks, paths, margin)
        assert rank_values(protocol, found).tolist() == expected, protocol


@pytest.mark.parametrize(
    ("protocol", "looks", "word"),
    [
        ("first", Looks(xy=np.ones((2, 2))), "told apart"),
        ("people", Looks(xy=np.ones((2, 2))), "told apart"),
        ("first", Looks(np.ones((1, 2)), np.zeros(1, int), 1), "order"),
        ("duration", Looks(xy=np.ones((2, 2))), "duration"),
        ("density_peak", Looks(xy=np.ones((2, 2))), "--density"),
        ("count", None, "--fixations"),
    ],
)
def test_what_an_input_cannot_serve_is_said(protocol, looks, word):
    found = evidence(looks) if looks else Evidence(area=np.ones(3, int))
    assert word in why_not(protocol, found)
    with pytest.raises(ValueError, match=f"{protocol}.*{word}"):
        score(protocol, found)


@pytest.mark.parametrize("looks", [None, Looks(xy=np.ones((2, 2)))])
def test_people_who_are_not_told_apart_cannot_be_chosen(looks):
    found = evidence(looks) if looks else Evidence(area=np.ones(3, int))
    with pytest.raises(ValueError, match="told apart"):
        found.of_people(np.array([0]))


def test_every_protocol_of_the_list_is_served_by_full_input():
    found = evidence(looks_of_people(PEOPLE), density=np.ones(HW))
    assert all(why_not(name, found) is None for name in protocols.NAMES)


IOU = np.eye(4)


def test_agreement_of_equal_and_of_opposite_orders():
    one, other = np.asarray([1.0, 0.9, 0.8, 0.0]), np.asarray([0.8, 0.9, 1.0, 0.0])
    same = compare(one, one, MASKS, IOU)
    assert same.rho == pytest.approx(1) and same.sa_sor == pytest.approx(1)
    assert (same.matched, same.objects) == (3, 3)
    opposite = compare(one, other, MASKS, IOU)
    assert opposite.rho == pytest.approx(-1) and opposite.sa_sor == pytest.approx(-1)
    both = scores([same, opposite])
    assert both["sor"] == pytest.approx(0.5) and both["sa_sor"] == pytest.approx(0)
    assert both["images_used"] == both["images"] == 2


def test_an_object_that_one_half_leaves_out_counts_against_sa_sor_and_is_unmatched():
    one, other = np.asarray([1.0, 0.9, 0.8, 0.0]), np.asarray([0.9, 1.0, 0.0, 0.0])
    row = compare(one, other, MASKS, IOU)
    assert (row.matched, row.objects) == (2, 3) and row.rho == pytest.approx(-1)
    # Own places 3 2 1, taken places 1 2 0.
    assert row.sa_sor == pytest.approx(np.corrcoef([3, 2, 1], [1, 2, 0])[0, 1])


def collected(paths, *, seed=0, halvings=8):
    agreement = Agreement(halvings=halvings, seed=seed)
    for people in paths:
        found = evidence(looks_of_people(people))
        values = {name: rank_values(name, found) for name in ("first", "count")}
        agreement.add(found, values, MASKS, IOU)
    return agreement


def test_people_who_look_alike_agree_and_halvings_are_repeatable():
    alike = [scanpath((ON_0, 10), (ON_0, 10), (ON_1, 10), (ON_1, 10), (ON_0, 10), (ON_2, 10))] * 5
    whole = collected([alike, alike]).of_people()
    assert whole["first"]["sa_sor"] == pytest.approx(1) and whole["first"]["sor"] == pytest.approx(
        1
    )
    assert whole["first"]["sa_sor_deviation"] == pytest.approx(0)
    mixed = [[*alike, *PEOPLE], PEOPLE]
    assert collected(mixed).of_people() == collected(mixed).of_people()
    assert collected(mixed).of_people() != collected(mixed, seed=1).of_people()


def test_protocols_are_compared_both_ways():
    between = collected([PEOPLE]).of_protocols()
    assert between["first"]["count"]["sa_sor"] == pytest.approx(1)
    assert set(between) == {"first", "count"} and set(between["count"]) == {"first"}


def test_people_who_are_not_told_apart_have_no_agreement():
    agreement = Agreement(halvings=3, seed=0)
    found = evidence(Looks(xy=np.asarray([ON_0, ON_1])))
    agreement.add(found, {"count": rank_values("count", found)}, MASKS, IOU)
    assert agreement.of_people() == {} and agreement.of_protocols() == {}
