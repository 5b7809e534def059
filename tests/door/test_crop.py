"""The window that keeps the most, on cases worked by hand."""

import numpy as np
import pytest

from sor_jax.crop import best_window, parse_aspect


def box_mask(x0, y0, x1, y1, hw=(100, 200)):
    mask = np.zeros(hw, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_no_object_is_the_middle():
    assert best_window([], [], 1.0, (100, 200)) == (50, 0, 150, 100)
    assert best_window([], [], 4.0, (100, 200)) == (0, 25, 200, 75)


def test_the_middle_of_one_object_that_fits():
    mask = box_mask(20, 40, 60, 60)  # its middle is at 40: the window would begin at -10
    assert best_window([mask], [1], 1.0, (100, 200)) == (0, 0, 100, 100)
    mask = box_mask(100, 40, 120, 60)  # middle 110
    assert best_window([mask], [1], 1.0, (100, 200)) == (60, 0, 160, 100)


def test_the_first_is_whole_though_others_weigh_more():
    masks = [box_mask(0, 0, 10, 10), box_mask(100, 0, 200, 100), box_mask(110, 0, 190, 90)]
    assert best_window(masks, [1, 2, 3], 1.0, (100, 200)) == (0, 0, 100, 100)
    # Had the small one rank 3, the two others (5 and 4) are kept whole.
    assert best_window(masks, [3, 1, 2], 1.0, (100, 200)) == (100, 0, 200, 100)


def test_then_as_much_as_can_be_of_the_others():
    # The first at 80..90; rank 2 right of it, rank 3 left of it: the window goes right.
    masks = [box_mask(80, 0, 90, 10), box_mask(170, 0, 178, 9), box_mask(0, 0, 8, 9)]
    x0, _, x1, _ = best_window(masks, [1, 2, 3], 1.0, (100, 200))
    assert x0 <= 80
    assert x1 >= 178


def test_a_first_object_that_does_not_fit_keeps_its_most():
    mask = box_mask(0, 0, 150, 10) | box_mask(0, 0, 100, 100)
    assert best_window([mask], [1], 1.0, (100, 200)) == (0, 0, 100, 100)


def test_size_of_an_object_does_not_count():
    masks = [box_mask(0, 0, 90, 100), box_mask(190, 0, 200, 2)]
    assert best_window(masks, [2, 1], 1.0, (100, 200))[0] == 100


def test_a_high_photograph_is_cut_above_and_below():
    mask = np.zeros((300, 100), bool)
    mask[250:280] = True
    assert best_window([mask], [1], 1.0, (300, 100)) == (0, 200, 100, 300)


@pytest.mark.parametrize("aspect", [0.3, 0.8, 1.0, 16 / 9, 5.0])
@pytest.mark.parametrize("hw", [(1, 1), (1, 50), (50, 1), (37, 53), (240, 320)])
def test_it_lies_inside_has_the_shape_and_is_the_best_of_all(aspect, hw):
    rng = np.random.default_rng(1)
    masks = [rng.random(hw) < 0.03 for _ in range(3)]
    x0, y0, x1, y1 = window = best_window(masks, [1, 2, 3], aspect, hw)
    width, height = x1 - x0, y1 - y0
    assert 0 <= x0 < x1 <= hw[1]
    assert 0 <= y0 < y1 <= hw[0]
    assert width == hw[1] or height == hw[0]
    if height == hw[0] and width > 1:
        assert abs(width - height * aspect) <= 0.5 or width == hw[1]

    def kept(window):
        x0, y0, x1, y1 = window
        shares = [m[y0:y1, x0:x1].sum() / m.sum() if m.any() else 0 for m in masks]
        return shares[0] >= 1, sum(w * s for w, s in zip((5, 4, 3), shares, strict=True))

    free = range(hw[1] - width + 1) if height == hw[0] else range(hw[0] - height + 1)
    along_x = height == hw[0]
    others = [(s, 0, s + width, height) if along_x else (0, s, width, s + height) for s in free]
    best = max(kept(other) for other in others)
    assert kept(window)[0] == best[0]
    assert kept(window)[1] >= best[1] - 1e-9


def test_aspects():
    assert parse_aspect("4:5") == parse_aspect((4, 5)) == parse_aspect(0.8) == 0.8
    assert parse_aspect("16x9") == pytest.approx(16 / 9)
    for wrong in ("wide", "0:1", "1:0", "1:2:3", -1, (1,), None, "1000:1"):
        with pytest.raises(ValueError, match="aspect"):
            parse_aspect(wrong)
