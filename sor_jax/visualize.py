"""Pictures to look at: photograph, ground truth and prediction side by side, with the ranks."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL_HEIGHT = 360
MARGIN = 12
HEADER = 36
PAPER, INK, PALE_INK = (250, 250, 247), (34, 34, 34), (120, 120, 120)
COLOURS = {
    1: (214, 39, 40),
    2: (255, 127, 14),
    3: (235, 195, 20),
    4: (44, 160, 44),
    5: (31, 119, 200),
}
"""Rank 1, the most salient, is red; 5 is blue."""
_LATER = ((110, 64, 170), (227, 119, 194), (140, 86, 75))  # ranks after 5, in turn
NO_RANK_COLOUR = (90, 90, 90)


def colour_of(rank: int, most: int = 99) -> tuple[int, int, int]:
    """The colour of rank 1, 2, ..; of what is none, or beyond `most`, grey."""
    if not 1 <= rank <= most:
        return NO_RANK_COLOUR
    return COLOURS.get(rank) or _LATER[(rank - len(COLOURS) - 1) % len(_LATER)]


def ranked_overlay(
    image: np.ndarray,
    masks: np.ndarray,
    ranks: Sequence[int] | np.ndarray,
    *,
    height: int = PANEL_HEIGHT,
    tint: bool = True,
    num_ranks: int = len(COLOURS),
) -> Image.Image:
    """The photograph in pale greys, each object tinted, outlined and numbered.

    Args:
      image: u8[h, w, 3] RGB.
      masks: bool[n, h, w]; n may be 0.
      ranks: n ranks as people see them, 1 = most salient; of an object without one it is any number
        beyond `num_ranks`, and none is written.
      num_ranks: the last rank there is.
      height: of the picture in pixels; numbers and outlines grow with it.
      tint: False keeps the photograph's colours and only outlines and numbers the objects.

    Returns:
      A picture of the photograph's shape, `height` high, less where it would be over twice as wide.
    """
    photo = _fit(image, height)
    grey = np.asarray(photo.convert("L").convert("RGB"), np.float32)
    canvas = 0.45 * grey + 0.55 * 245 if tint else np.array(photo.convert("RGB"), np.float32)
    shown = [(int(rank), _fit_mask(m, photo.size)) for rank, m in zip(ranks, masks, strict=True)]
    shown.sort(key=lambda item: -item[1].sum())  # smaller objects end on top
    owner = np.zeros(grey.shape[:2], int)
    for rank, mask in shown:
        colour = colour_of(rank, num_ranks)
        if tint:
            canvas[mask] = 0.5 * grey[mask] + 0.5 * np.array(colour, np.float32)
        canvas[_outline(mask, max(height // 180, 1))] = colour
        owner[mask] = rank
    picture = Image.fromarray(canvas.round().astype(np.uint8))
    for rank, mask in shown:
        seen = owner == rank
        if mask.any() and 1 <= rank <= num_ranks:
            _write_rank(picture, seen if seen.any() else mask, rank)
    return picture


def panel(
    image: np.ndarray,
    truth: tuple,
    prediction: tuple,
    *,
    notes: Sequence[str] = (),
    num_ranks: int = len(COLOURS),
) -> np.ndarray:
    """Photograph | ground truth | prediction with a heading over each.

    Args:
      image: u8[h, w, 3] RGB.
      truth: (masks bool[n, h, w], ranks of n objects, 1 = most salient).
      prediction: the same for the predicted objects.
      notes: what to say behind each of the three headings; may be left out.
      num_ranks: the last rank there is.

    Returns:
      u8[H, W, 3].
    """
    photo = _fit(image)  # once, then it fits already
    fitted = np.asarray(photo)
    drawn = [ranked_overlay(fitted, *side, num_ranks=num_ranks) for side in (truth, prediction)]
    pictures = [photo, *drawn]
    headings = ("photograph", "ground truth", "prediction")
    width, height = pictures[0].size
    sheet = Image.new("RGB", (3 * width + 4 * MARGIN, HEADER + height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (picture, heading) in enumerate(zip(pictures, headings, strict=True)):
        left = MARGIN + place * (width + MARGIN)
        sheet.paste(picture, (left, HEADER))
        draw.text((left, HEADER // 2), heading, INK, label_font(18), anchor="lm")
        note = notes[place] if place < len(notes) else ""
        room = width - draw.textlength(heading, label_font(18)) - MARGIN
        if draw.textlength(note, label_font(14)) <= room:
            draw.text((left + width, HEADER // 2 + 1), note, PALE_INK, label_font(14), anchor="rm")
    return np.asarray(sheet)


def contact_sheet(
    panels: Sequence[np.ndarray], *, columns: int = 2, scale: float = 0.65
) -> np.ndarray:
    """All panels (at least one) on one page, `columns` side by side. u8[H, W, 3]."""
    small = [
        Image.fromarray(p).resize(
            (round(p.shape[1] * scale), round(p.shape[0] * scale)), Image.Resampling.LANCZOS
        )
        for p in panels
    ]
    columns = min(columns, len(small))
    width, height = max(p.width for p in small), max(p.height for p in small)
    page = Image.new("RGB", (width * columns, height * -(-len(small) // columns)), PAPER)
    for place, picture in enumerate(small):
        page.paste(picture, (place % columns * width, place // columns * height))
    return np.asarray(page)


def _fit(image: np.ndarray, most: int = PANEL_HEIGHT) -> Image.Image:
    height, width = image.shape[:2]
    scale = min(most / height, 2 * most / width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)


def _fit_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    soft = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(soft) >= 128


def _outline(mask: np.ndarray, width: int) -> np.ndarray:
    from scipy import ndimage  # slow to import

    outline, box = np.zeros_like(mask), _box(mask)
    outline[box] = mask[box] & ~ndimage.binary_erosion(mask[box], iterations=width)
    return outline


def _box(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that hold the mask; nothing beyond counts for its inside."""

    def span(axis):
        held = np.flatnonzero(mask.any(axis=axis))
        return slice(held[0], held[-1] + 1) if len(held) else slice(0, 0)

    return span(1), span(0)


def _write_rank(picture: Image.Image, mask: np.ndarray, rank: int) -> None:
    """Writes the rank at the point of the object farthest from its border."""
    from scipy import ndimage  # slow to import

    rows, columns = _box(mask)
    depth = ndimage.distance_transform_edt(np.pad(mask[rows, columns], 1))[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    size = int(np.clip(1.5 * depth.max(), 26, max(84, picture.height // 6)))
    half = size * 0.6
    x = float(np.clip(columns.start + column, half, picture.width - half))
    y = float(np.clip(rows.start + row, half, picture.height - half))
    ImageDraw.Draw(picture).text(
        (x, y),
        str(rank),
        "white",
        label_font(size),
        anchor="mm",
        stroke_width=max(size // 12, 2),
        stroke_fill=INK,
    )


@functools.cache
def label_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures."""
    return ImageFont.load_default(size)
