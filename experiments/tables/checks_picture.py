"""The controlled checks as a picture: a scene of each, its variants side by side."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiments.tables.controlled import CHANGES, SCALES, SHARES, Variant

NUM_RANKS = 5
_SCALE, _GAP, _HEAD, _FOOT = 1.5, 10, 26, 40
_CANDIDATES = 12
_INK, _PALE = "#222222", "#777777"
_LABELS = {
    "moved to the middle": [f"{share:.0%} of the way" for share in SHARES],
    "enlarged": [f"x {scale:g}" for scale in SCALES],
    "neighbour removed": ["all", "without its twin", "without another one"],
}


def picture(scores_of, results: dict, *, image_hw, seed: int = 1000) -> np.ndarray:
    """u8[H, W, 3].

    Args:
      scores_of: variants -> the expected rank class of every object.
      results: of checks.run_checks, the means that are written under the variants.
      image_hw: size of the scenes.
      seed: of the scenes that one is chosen from: the one whose change is nearest to the mean.
    """
    height, width = (round(side * _SCALE) for side in image_hw)
    columns = max(len(labels) for labels in _LABELS.values())
    page = Image.new(
        "RGB",
        (columns * (width + _GAP) + _GAP, len(CHANGES) * (_HEAD + height + _FOOT) + _GAP),
        "white",
    )
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for place, (name, change) in enumerate(CHANGES.items()):
        top = place * (_HEAD + height + _FOOT)
        draw.text((_GAP, top + 6), _heading(name, results[name]), _INK, ImageFont.load_default(15))
        variants, scores = _typical(scores_of, change, results[name]["score"], seed, image_hw)
        for column, (variant, score) in enumerate(zip(variants, scores, strict=True)):
            left = _GAP + column * (width + _GAP)
            page.paste(_marked(variant).resize((width, height)), (left, top + _HEAD))
            mean = NUM_RANKS - results[name]["score"][column]
            here = NUM_RANKS - score[variant.target]
            text = f"{_LABELS[name][column]}: rank {here:.2f}"
            draw.text((left, top + _HEAD + height + 3), text, _INK, font)
            text = f"mean over scenes {mean:.2f}"
            draw.text((left, top + _HEAD + height + 19), text, _PALE, font)
    return np.asarray(page)


def _typical(scores_of, change, mean, seed, image_hw):
    """The variants whose scores are nearest to the means over many scenes, and their scores."""
    candidates = [change(np.random.default_rng([seed, i]), image_hw) for i in range(_CANDIDATES)]
    found = [scores_of(variants) for variants in candidates]
    watched = [
        [s[v.target] for s, v in zip(*pair, strict=True)]
        for pair in zip(found, candidates, strict=True)
    ]
    # The change matters, not how salient the object is to begin with.
    far = [np.abs(np.subtract(w, w[0]) - np.subtract(mean, mean[0])).sum() for w in watched]
    return candidates[int(np.argmin(far))], found[int(np.argmin(far))]


def _heading(name, result):
    return f"{name}: the expected rank gets better in {result['share']:.0%} of the scenes"


def _marked(variant: Variant) -> Image.Image:
    """The picture with a frame around the object that is watched."""
    image = Image.fromarray(variant.image)
    x0, y0, x1, y1 = (int(v) for v in variant.boxes[variant.target])
    ImageDraw.Draw(image).rectangle((x0 - 1, y0 - 1, x1, y1), outline="white")
    return image
