"""The plot of a table: every seed a dot, the mean a bar, differences with their intervals."""

from PIL import Image, ImageDraw, ImageFont

_NAMES, _WIDE, _ROW, _TOP, _GAP = 210, 330, 34, 64, 40
_INK, _PALE, _DOT, _MEAN = "#222222", "#cccccc", "#1b6ca8", "#c8553d"


def plot(table: dict) -> Image.Image:
    """Draws what is measured of a report.table_of; rows that are not done stay empty."""
    rows = table["rows"]
    with_difference = any(row["measured"]["difference"] for row in rows)
    width = _NAMES + (_WIDE + _GAP) * (2 if with_difference else 1)
    image = Image.new("RGB", (width, _TOP + _ROW * len(rows) + 50), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    title = f"Table {table['table']}: {table['title']}"
    draw.text((12, 8), title, _INK, ImageFont.load_default(16))
    for index, row in enumerate(rows):
        draw.text((12, _middle(index)), row["name"], _INK, font, anchor="lm")
    seeds = [row["measured"].get("sor_multi", {"seeds": []})["seeds"] for row in rows]
    panel = _Panel(draw, font, _NAMES, "SOR multi, a dot a seed", sum(seeds, []), len(rows))
    for index, values in enumerate(seeds):
        for value in values:
            panel.dot(index, value)
        if values:
            panel.bar(index, sum(values) / len(values))
    if with_difference:
        spans = [row["measured"]["difference"] for row in rows]
        ends = [end for span in spans if span for end in span] + [0.0]
        left = _NAMES + _WIDE + _GAP
        panel = _Panel(
            draw, font, left, f"difference {table['setting']['differences']}", ends, len(rows)
        )
        panel.line(0.0)
        for index, span in enumerate(spans):
            if span:
                panel.span(index, *span[1:])
                panel.bar(index, span[0])
    return image


def _middle(index):
    return _TOP + _ROW * index + _ROW // 2


class _Panel:
    """An axis from left to right over all rows."""

    def __init__(self, draw, font, left, label, values, count):
        self.draw, self.left, self.bottom = draw, left, _TOP + _ROW * count
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        margin = max(0.08 * (high - low), 1e-3)
        self.low, self.high = low - margin, high + margin
        draw.text((left, _TOP - 22), label, _INK, font)
        draw.line((left, self.bottom, left + _WIDE, self.bottom), _INK)
        for part in (0.1, 0.5, 0.9):
            value = self.low + part * (self.high - self.low)
            x = self.x(value)
            draw.line((x, self.bottom, x, self.bottom + 4), _INK)
            draw.text((x, self.bottom + 8), f"{round(value, 3) + 0.0:.3f}", _INK, font, anchor="mt")
        for index in range(count):
            draw.line((left, _middle(index), left + _WIDE, _middle(index)), "#f0f0f0")

    def x(self, value):
        return self.left + _WIDE * (value - self.low) / (self.high - self.low)

    def dot(self, index, value):
        x, y = self.x(value), _middle(index)
        self.draw.ellipse((x - 4, y - 4, x + 4, y + 4), outline=_DOT, width=2)

    def bar(self, index, value):
        x, y = self.x(value), _middle(index)
        self.draw.line((x, y - 10, x, y + 10), _MEAN, 3)

    def span(self, index, low, high):
        y = _middle(index)
        self.draw.line((self.x(low), y, self.x(high), y), _DOT, 3)

    def line(self, value):
        self.draw.line((self.x(value), _TOP, self.x(value), self.bottom), _PALE)
