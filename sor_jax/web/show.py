"""What the page shows of a photograph, and the files that it hands out; Gradio is not needed."""

import html
import io
import json
import pathlib
import tempfile
import zipfile
from collections.abc import Collection

import numpy as np
from PIL import Image

from sor_jax.datasets.images import decode_image
from sor_jax.files import cache_dir, write_png
from sor_jax.visualize import colour_of

MOST_PIXELS = 60_000_000
DRAWN_HEIGHT = 640
NUM_EXAMPLES = 6
TINT = 0.45  # opacity of the colour over an object
COLOUR_OF_RANK = {str(rank): "#" + bytes(colour_of(rank)).hex() for rank in range(1, 21)}


def example_photographs() -> list[str]:
    """Paths of some drawn scenes, made at the first call and kept in the cache folder."""
    folder, paths = cache_dir() / "examples", []
    for index in range(NUM_EXAMPLES):
        path = folder / f"scene{index + 1}.png"
        if not path.is_file():
            from sor_jax.datasets.scenes.draw import draw

            write_png(path, draw(0, "test", index, image_hw=(240, 320)).image)
        paths.append(str(path))
    return paths


def rank_file(ranker, path: str):
    """The Ranking of an uploaded file.

    Raises:
      ValueError, OSError: it cannot be read, or has too many pixels; the message names it.
    """
    name, content = pathlib.Path(path).name, pathlib.Path(path).read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
    except Exception:  # decode_image says what it is
        width = height = 0
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{name} has {width}x{height} pixels; at most {MOST_PIXELS // 1_000_000} megapixels "
            "are taken here, the command line takes more"
        )
    try:
        return ranker.rank([(decode_image(content), name)])[0]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def annotated(ranking, ranks: Collection[str]) -> tuple:
    """(the photograph with these objects outlined and numbered, [(mask f[h, w], rank), ..])."""
    shown = ranking.only([int(rank) for rank in ranks])
    drawn, masks = shown.draw(height=DRAWN_HEIGHT, tint=False), []
    for thing in shown:
        mask = Image.fromarray(thing.mask.astype(np.uint8) * 255).resize(drawn.size)
        masks.append((np.asarray(mask) / 255 * TINT, str(thing.rank)))
    return drawn, masks


def table(ranking) -> str:
    """The objects as a table in HTML."""
    if not len(ranking):
        return "<p>No object was found.</p>"
    numbers = range(1, ranking.num_ranks + 1)
    head = "".join(f"<th>{title}</th>" for title in ("rank", "share", "object?", *numbers))
    rows = []
    for thing in ranking:
        cells = [f"<td>{100 * thing.share:.1f} %</td>", f"<td>{thing.score:.2f}</td>"]
        cells += [
            f'<td style="background: rgba(214, 39, 40, {0.6 * p:.2f})">{100 * p:.0f} %</td>'
            for p in thing.rank_probabilities
        ]
        rows.append(f"<tr><th>{thing.rank}</th>{''.join(cells)}</tr>")
    return (
        f"<table class='ranks'><tr>{head}</tr>{''.join(rows)}</table>"
        f"<p>1 to {ranking.num_ranks}: how probable the "
        "model finds each rank. share: of the photograph. object?: how sure the detector is.</p>"
    )


def about(ranker) -> str:
    """What model it is and how good, in HTML."""
    card = ranker.card
    words = [f"Model {ranker.name}: {card['summary']}" if "summary" in card else ranker.name]
    for title, key in (("Measured", "scores"), ("Bad at", "bad_at"), ("Licence", "licence")):
        value = card.get(key) or ""
        value = value if isinstance(value, str) else "; ".join(value)
        words += [f"{title}: {value}"] if value else []
    first, *rest = (html.escape(word) for word in words)
    more = "".join(f"<li>{word}</li>" for word in rest)
    folded = f"<details><summary>How good it is, and what it is bad at</summary><ul>{more}</ul>"
    return (
        f"<div class='about'>{first}. Nothing leaves the machine that this page comes from."
        f"{folded + '</details>' if more else ''}</div>"
    )


def files(ranking) -> list[str]:
    """Paths of the picture, the JSON and the cut-outs (a zip)."""
    stem = _stem(ranking)
    endings = (".ranked.png", ".ranked.json", ".cutouts.zip")
    picture, facts, cutouts = (_fresh(stem + ending) for ending in endings)
    ranking.draw(height=1440).save(picture)
    facts.write_text(json.dumps(ranking.to_dict() | {"coco": ranking.to_coco()}, indent=1))
    with zipfile.ZipFile(cutouts, "w") as archive:
        for thing in ranking:
            file = io.BytesIO()
            thing.cutout().save(file, "PNG")
            archive.writestr(f"{stem}.{thing.rank}.png", file.getvalue())
    return [str(path) for path in (picture, facts, cutouts)]


def crop(ranking, aspect: str) -> tuple[Image.Image, str]:
    """The cropped photograph, and the path of the same as a file."""
    window = ranking.crop(aspect)
    path = _fresh(f"{_stem(ranking)}.crop-{aspect.replace(':', 'x')}.jpg")
    window.save(path, quality=92)
    return window, str(path)


def _fresh(name: str) -> pathlib.Path:
    """A path in a new folder where Gradio hands files out from, and deletes them."""
    root = pathlib.Path(tempfile.gettempdir()) / "gradio"
    root.mkdir(exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(dir=root)) / name


def _stem(ranking) -> str:
    return pathlib.Path(ranking.name).stem or "photograph"
