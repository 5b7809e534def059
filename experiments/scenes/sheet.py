"""A contact sheet of scenes with their ranks: `python -m experiments.scenes.sheet --out FILE`."""

import argparse

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sor_jax.commands import plain_errors
from sor_jax.datasets.scenes.draw import Scene, draw


def annotated(scene: Scene) -> Image.Image:
    """The picture with 1..5 on the ranked objects, 1 = most salient, and a dot on the others."""
    picture = Image.fromarray(scene.image)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(10, picture.height // 9))
    for mask, value in zip(scene.masks, scene.rank_order, strict=True):
        text = str(round(11 - 10 * value)) if value > 0 else "·"
        pen.text(_inside(mask), text, "white", font, "mm", stroke_width=2, stroke_fill="black")
    return picture


def _inside(mask):
    """x y of the object's pixel that is nearest to its centre of mass."""
    xy = np.argwhere(mask)[:, ::-1] + 0.5
    return tuple(xy[np.argmin(np.linalg.norm(xy - xy.mean(axis=0), axis=1))])


def main() -> None:
    """Writes the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True, help="the picture file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test")
    parser.add_argument("--image_hw", type=int, nargs=2, default=(128, 160))
    parser.add_argument("--rows", type=int, default=5)
    parser.add_argument("--columns", type=int, default=8)
    args = parser.parse_args()
    height, width = args.image_hw
    sheet = Image.new("RGB", (args.columns * width, args.rows * height))
    for index in range(args.rows * args.columns):
        scene = draw(args.seed, args.split, index, image_hw=(height, width))
        row, column = divmod(index, args.columns)
        sheet.paste(annotated(scene), (column * width, row * height))
    sheet.save(args.out, quality=85)


if __name__ == "__main__":
    with plain_errors():
        main()
