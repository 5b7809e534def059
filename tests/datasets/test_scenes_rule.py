"""The rule against loops and hand-made pictures, and the README's table of its parts."""

import pathlib

import numpy as np
import pytest

from experiments.scenes.rule_table import OWN_TERMS, rule_table
from sor_jax.datasets.scenes import rule
from sor_jax.datasets.scenes.colour import lab_to_rgb, rgb_to_lab
from sor_jax.datasets.scenes.draw import draw


@pytest.fixture(scope="module")
def table():
    return rule_table([draw(0, "test", index, image_hw=(128, 160)) for index in range(400)])


def test_no_part_of_the_rule_is_enough(table):
    for name in ("size", "centre", "contrast", "crowding"):
        assert 0.5 < table[name] <= 0.80, name
    assert table["all but crowding"] <= 0.93
    assert table["all but crowding, best weights"] <= 0.93
    assert table["the rule"] == 1.0
    assert set(OWN_TERMS) | {"crowding"} == set(rule.WEIGHTS)


def test_readme_shows_the_measured_table(table):
    text = (pathlib.Path(__file__).parents[2] / "data" / "scenes" / "README.md").read_text()
    section = text.split("## Is the whole rule needed?")[1].split("##")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if " | 0." in line]
    cells += [line.strip("| ").split(" | ") for line in section.splitlines() if " | 1." in line]
    shown = {name: float(value) for name, value in cells}
    assert shown == pytest.approx(table, abs=0.003)


def test_readme_shows_the_weights():
    text = (pathlib.Path(__file__).parents[2] / "data" / "scenes" / "README.md").read_text()
    formula = " + ".join(f"{weight:.2f} {name}" for name, weight in rule.WEIGHTS.items())
    formula = f"score = {formula}".replace("+ -", "- ")
    assert formula in text
    assert formula in rule.__doc__


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((10, 10, 10), (2.74, 0, 0)),
    ],
)
def test_cielab_of_known_colours(rgb, lab):
    np.testing.assert_allclose(rgb_to_lab(np.array(rgb)), lab, atol=0.02)
    np.testing.assert_allclose(lab_to_rgb(np.array(lab)), rgb, atol=0.2)


def two_squares():
    """A red 4x4 square in the middle of a grey 12x20 picture, a blue 2x6 one at the left edge."""
    image = np.full((12, 20, 3), 100.0)
    labels = np.zeros((12, 20), np.uint8)
    labels[4:8, 8:12], labels[0:2, 0:6] = 1, 2
    image[labels == 1], image[labels == 2] = (200, 0, 0), (0, 0, 200)
    return image, labels


def test_measures_of_a_hand_made_picture():
    image, labels = two_squares()
    image[3, 7] = 40  # the grown box of the red square is 6x6, so its surround has 20 pixels
    found = rule.measure(image, labels, 2)
    np.testing.assert_allclose(found.area, [16 / 240, 12 / 240])
    np.testing.assert_allclose(found.position, np.array([[0, 0], [-7, -5]]) / np.sqrt(240))
    np.testing.assert_allclose(found.eccentricity, [0, np.hypot(5 / 6, 7 / 10)])
    np.testing.assert_allclose(found.colour, [[200, 0, 0], [0, 0, 200]])
    np.testing.assert_allclose(found.surround, [[97] * 3, [100] * 3])


def test_terms_match_loops():
    rng = np.random.default_rng(0)
    n = 6
    measures = rule.Measures(
        area=rng.uniform(0.01, 0.15, n),
        position=rng.uniform(-0.5, 0.5, (n, 2)),
        eccentricity=rng.uniform(0, 1.2, n),
        colour=rng.uniform(0, 255, (n, 3)) * 0.2 + 100,
        surround=rng.uniform(0, 255, (n, 3)),
    )
    found = rule.terms(measures)
    lab, around = rgb_to_lab(measures.colour), rgb_to_lab(measures.surround)
    for i in range(n):
        rivals = 0.0
        for j in range(n):
            if i != j:
                colours = sum((lab[i, c] - lab[j, c]) ** 2 for c in range(3)) / 30**2
                places = sum((measures.position[i] - measures.position[j]) ** 2) / 0.4**2
                pair = sorted([measures.area[i] ** 0.5, measures.area[j] ** 0.5])
                rivals += np.exp(-colours) * np.exp(-places) * pair[0] / pair[1]
        contrast = np.sqrt(sum((lab[i] - around[i]) ** 2))
        assert found["crowding"][i] == pytest.approx(1 - np.exp(-rivals))
        assert found["contrast"][i] == pytest.approx(1 - np.exp(-contrast / 60))
        assert found["size"][i] == pytest.approx(np.sqrt(measures.area[i] / 0.16))
        centre = np.exp(-(measures.eccentricity[i] ** 2) / (2 * 0.36))
        assert found["centre"][i] == pytest.approx(centre)
        own = 0.55 * found["size"][i] + 0.35 * centre + 0.30 * found["contrast"][i]
        assert rule.score(found)[i] == pytest.approx(own - 0.55 * found["crowding"][i])


def test_measures_are_the_same_at_twice_the_size():
    image, labels = two_squares()
    small = rule.terms(rule.measure(image, labels, 2))
    large = rule.terms(rule.measure(*(np.kron(a, b) for a, b in double(image, labels)), 2))
    for name in rule.WEIGHTS:
        np.testing.assert_allclose(small[name], large[name])


def double(image, labels):
    return (image, np.ones((2, 2, 1))), (labels, np.ones((2, 2), np.uint8))


def test_an_odd_one_out_beats_its_like():
    image = np.full((60, 90, 3), 120.0)
    labels = np.zeros((60, 90), np.uint8)
    for label, left in enumerate((7, 37, 67), start=1):
        labels[22:38, left : left + 16] = label
    image[labels > 0] = (200, 40, 40)
    same = rule.terms(rule.measure(image, labels, 3))
    image[labels == 3] = (40, 40, 200)
    odd = rule.terms(rule.measure(image, labels, 3))
    assert odd["crowding"][2] < 0.01 < 0.3 < same["crowding"][2]
    assert rule.score(odd)[2] > rule.score(odd)[0]
    assert rule.score(same)[2] == pytest.approx(rule.score(same)[0])


def test_five_highest_scores_are_ranked():
    values = rule.rank_order(np.array([0.1, 0.9, -0.2, 0.5, 0.7, 0.3, 0.2]))
    np.testing.assert_allclose(values, [0, 1.0, 0, 0.8, 0.9, 0.7, 0.6], rtol=1e-6)
    assert rule.rank_order(np.array([0.2, 0.1])).tolist() == np.float32([1.0, 0.9]).tolist()
