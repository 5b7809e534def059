"""Drawn scenes: repeatable, of any size, with true masks and clear ranks."""

import numpy as np
import pytest
from PIL import Image

from sor_jax.datasets.scenes import rule
from sor_jax.datasets.scenes.draw import MIN_GAP, MIN_GAP_UNRANKED, draw
from sor_jax.datasets.scenes.layout import fill
from sor_jax.datasets.scenes.shapes import SHAPES, outline
from sor_jax.datasets.scenes.texture import Texture, pattern


@pytest.fixture(scope="module")
def scenes():
    return [draw(3, "train", index, image_hw=(96, 128)) for index in range(200)]


def test_same_arguments_same_scene():
    first, second = (draw(1, "val", 5, image_hw=(64, 96)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.masks, second.masks)
    np.testing.assert_array_equal(first.rank_order, second.rank_order)
    for other in ((2, "val", 5), (1, "test", 5), (1, "val", 6)):
        assert not np.array_equal(draw(*other, image_hw=(64, 96)).image, first.image)


@pytest.mark.parametrize("image_hw", [(32, 32), (33, 47), (160, 128), (32, 192), (480, 640)])
def test_any_size(image_hw):
    for index in range(3):
        scene = draw(0, "train", index, image_hw=image_hw)
        n = len(scene.masks)
        assert scene.image.shape == (*image_hw, 3)
        assert scene.image.dtype == np.uint8
        assert scene.masks.shape == (n, *image_hw)
        assert scene.masks.dtype == bool
        assert 2 <= n <= 9
        assert scene.masks.any(axis=(1, 2)).all()


@pytest.mark.parametrize("image_hw", [(31, 64), (32, 200), (0, 0)])
def test_impossible_sizes_are_refused(image_hw):
    with pytest.raises(
        ValueError, match=r"image_hw is .* at least 32 pixels .* longer than 6 times"
    ):
        draw(0, "train", 0, image_hw=image_hw)


def test_masks_are_apart_and_boxes_enclose_them(scenes):
    for scene in scenes[:50]:
        assert scene.masks.sum(axis=0).max() <= 1
        for mask, (x0, y0, x1, y1) in zip(scene.masks, scene.boxes, strict=True):
            rows, columns = np.nonzero(mask)
            assert [x0, y0] == [columns.min(), rows.min()]
            assert [x1, y1] == [columns.max() + 1, rows.max() + 1]


def test_scenes_have_variety(scenes):
    counts = [len(scene.masks) for scene in scenes]
    assert set(counts) == set(range(2, 10))
    assert 4 < np.mean(counts) < 5
    unranked = sum(np.count_nonzero(scene.rank_order == 0) for scene in scenes)
    assert 0.05 < unranked / sum(counts) < 0.2
    touching = [scene for scene in scenes if _some_touch(scene.masks)]
    assert len(touching) > 0.3 * len(scenes)


def _some_touch(masks):
    grown = masks.copy()
    grown[:, 1:] |= masks[:, :-1]
    grown[:, :, 1:] |= masks[:, :, :-1]
    return (grown.sum(axis=0) > 1).any()


def test_ranked_objects_are_large_and_unranked_ones_mostly_small(scenes):
    area = np.concatenate([scene.masks.mean(axis=(1, 2)) for scene in scenes])
    value = np.concatenate([scene.rank_order for scene in scenes])
    assert area.min() > 0.005
    assert np.mean(area[value > 0] > 0.018) > 0.95
    assert np.median(area[value == 0]) < 0.02 < 0.06 < np.median(area[value > 0])


def test_ranks_are_those_of_the_rule_by_a_clear_margin(scenes):
    for scene in scenes:
        labels = np.zeros(scene.masks.shape[1:], np.uint8)
        for label, mask in enumerate(scene.masks, start=1):
            labels[mask] = label
        terms = rule.terms(rule.measure(scene.image, labels, len(scene.masks)))
        scores = sorted(zip(rule.score(terms), scene.rank_order, strict=True), reverse=True)
        expected = [1.0, 0.9, 0.8, 0.7, 0.6, 0, 0, 0, 0][: len(scores)]
        np.testing.assert_allclose([value for _, value in scores], expected, rtol=1e-6)
        gaps = [a[0] - b[0] for a, b in zip(scores, scores[1:], strict=False)]
        assert min(gaps[:4]) >= MIN_GAP
        assert min(gaps[4:5], default=1) >= MIN_GAP_UNRANKED


def test_objects_differ_from_the_ground(scenes):
    for scene in scenes:
        assert scene.terms["contrast"][scene.rank_order > 0].min() > 0.02
    contrast = np.concatenate([s.terms["contrast"][s.rank_order > 0] for s in scenes])
    assert np.percentile(contrast, 5) > 0.2  # a distance of 13 in CIELAB


@pytest.mark.parametrize("kind", SHAPES)
def test_outlines_have_area_one(kind):
    for seed in range(5):
        path = outline(kind, np.random.default_rng(seed))
        picture = Image.new("L", (600, 600))
        fill(picture, path * 150 + 300, 1)
        assert np.asarray(picture).sum() / 150**2 == pytest.approx(1, abs=0.03)
        np.testing.assert_allclose(path.mean(axis=0), 0, atol=1e-9)


def test_stripes_repeat_after_a_period():
    noise = np.zeros((2, 2), np.float32)
    stripes = Texture("stripes", period=0.25, angle=0.0, phase=np.zeros(2), noise=noise)
    x, y = np.arange(-0.5, 0.5, 1 / 64, dtype=np.float32), np.zeros(3, np.float32)
    found = pattern(stripes, x, y)
    assert found.shape == (3, 64)
    assert found.min() == 0
    assert found.max() == 1
    np.testing.assert_allclose(found[:, 16:], found[:, :-16], atol=1e-4)


def test_a_changed_drawing_needs_a_new_version():
    """Prepared records are found by Scenes.VERSION: raise it together with these numbers."""
    from sor_jax.datasets.scenes.builder import Scenes

    scene = draw(0, "train", 0, image_hw=(128, 160))
    assert str(Scenes.VERSION) == "1.0.0"
    np.testing.assert_allclose(scene.rank_order, PINNED["rank_order"], rtol=1e-6)
    np.testing.assert_allclose(scene.image.mean(axis=(0, 1)), PINNED["colour"], atol=0.05)


PINNED = {"rank_order": [0.8, 0.9, 1.0], "colour": [136.81, 129.64, 137.57]}
