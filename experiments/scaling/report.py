"""A scaling experiment as a table and a plot."""

import re

from PIL import Image, ImageDraw, ImageFont

SIMULATED = (
    "Simulated devices: they share the cores of one CPU. This checks the machinery; its timings "
    "mean nothing."
)
OUT_OF_MEMORY = "out of memory"
# Key of a result, heading, how the value is written.
COLUMNS = (
    ("scaling", "scaling", str),
    ("devices", "devices", str),
    ("batch", "batch", str),
    ("dtype", "dtype", str),
    ("images_per_second", "images/s", "{:.2f}".format),
    ("efficiency", "efficiency", "{:.0%}".format),
    ("step_seconds", "step, s", "{:.4f}".format),
    ("wait_seconds", "of it input wait, s", "{:.4f}".format),
    ("peak_bytes", "peak memory a device, GB", lambda value: f"{value / 1e9:.2f}"),
    ("flops", "GFLOP a step and device", lambda value: f"{value / 1e9:.1f}"),
    ("share", "share of the peak", "{:.1%}".format),
)
FLOPS = (
    "FLOPs are those of convolutions and matrix products, of the heads as many as ran at least, "
    "recomputed ones too; XLA's own count takes a loop once, and GPUs tell none."
)
_NOTE = (
    "Efficiency: images a second and device, relative to the first row of a series. Peak memory is "
    f"the device's own where it tells, else the compiler's plan for the step. {FLOPS}"
)
_COLOURS = ("#1b6ca8", "#c8553d", "#4a8f5a", "#7a5195", "#b8860b", "#555555", "#0f8b8d", "#a83279")
_LEFT, _TOP, _WIDE, _HIGH = 70, 72, 360, 260


def file_stem(*words: str) -> str:
    """A file name without ending, of lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")


def markdown(
    title: str, results: list[dict], *, is_simulated: bool, columns=COLUMNS, note: str = _NOTE
) -> str:
    """A page with a row for each measurement.

    Args:
      title: names config and device.
      results: of measure, with "scaling" and "efficiency"; or with "error", which is told in the
        first column that it has no value for.
      is_simulated: whether the timings mean nothing.
      columns: (key, heading, how to write the value) of each.
      note: what the columns mean.
    """
    lines = [f"# {title}", "", *([f"**{SIMULATED}**", ""] if is_simulated else ()), note, ""]
    lines += ["| " + " | ".join(heading for _, heading, _ in columns) + " |", "|---" * len(columns)]
    lines[-1] += "|"
    for result in results:
        lacking = [result.get(key) is None for key, _, _ in columns]
        cells = [
            "--" if lacks else write(result[key])
            for lacks, (key, _, write) in zip(lacking, columns, strict=True)
        ]
        if "error" in result:
            cells[lacking.index(True)] = result["error"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(title: str, results: list[dict], *, is_simulated: bool, panels: tuple = ()) -> Image.Image:
    """Images a second and efficiency over the devices, or over the batch where it alone varies.

    `panels`, (key of a result, label) of each, takes other numbers.
    """
    good = [result for result in results if "error" not in result]
    axis = "devices" if len({result["devices"] for result in good}) > 1 else "batch"
    series = {}
    for result in good:
        series.setdefault(_name(result, axis), []).append(result)
    if not panels:
        panels = (("images_per_second", "images/s"), ("efficiency", "efficiency"))
        panels = panels if axis == "devices" else panels[:1]
    width = len(panels) * (_LEFT + _WIDE + 30)
    height = _TOP + _HIGH + 70 + 18 * len(series)
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.text((12, 8), title, "black", font)
    if is_simulated:
        draw.text((12, 26), SIMULATED, "#c00000", ImageFont.load_default(11))
    for index, (key, label) in enumerate(panels):
        left = index * (_LEFT + _WIDE + 30) + _LEFT
        _panel(draw, font, left, series, axis, key, label)
    for index, name in enumerate(series):
        y = _TOP + _HIGH + 50 + 18 * index
        draw.rectangle((_LEFT, y + 4, _LEFT + 14, y + 10), _COLOURS[index % len(_COLOURS)])
        draw.text((_LEFT + 22, y - 2), name, "black", font)
    return image


def _name(result, axis):
    if axis == "batch":
        return result["dtype"]
    if result["scaling"] == "weak":
        return f"weak, batch {result['batch'] // result['devices']} a device, {result['dtype']}"
    return f"strong, batch {result['batch']}, {result['dtype']}"


def _panel(draw, font, left, series, axis, key, label):
    ticks = sorted({result[axis] for results in series.values() for result in results})
    series = [[r for r in results if r.get(key) is not None] for results in series.values()]
    most = max((r[key] for results in series for r in results), default=1.0) or 1.0
    bottom = _TOP + _HIGH

    def place(result):
        step = _WIDE / max(len(ticks) - 1, 1)
        return left + ticks.index(result[axis]) * step, bottom - _HIGH * result[key] / most / 1.08

    draw.line((left, _TOP, left, bottom, left + _WIDE, bottom), "black")
    draw.text((left, _TOP - 18), label, "black", font)
    for tick in ticks:
        x = left + ticks.index(tick) * _WIDE / max(len(ticks) - 1, 1)
        draw.line((x, bottom, x, bottom + 4), "black")
        draw.text((x - 6, bottom + 8), str(tick), "black", font)
    draw.text((left + _WIDE / 2 - 20, bottom + 24), axis, "black", font)
    for part in (0.5, 1.0):
        y = bottom - _HIGH * part / 1.08
        draw.line((left - 4, y, left, y), "black")
        text = f"{most * part:.0%}" if key == "efficiency" else f"{most * part:.3g}"
        draw.text((left - 52, y - 7), text, "black", font)
    for index, results in enumerate(series):
        colour = _COLOURS[index % len(_COLOURS)]
        spots = [place(r) for r in sorted(results, key=lambda r: r[axis])]
        if len(spots) > 1:
            draw.line(spots, colour, 2)
        for x, y in spots:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)


def short_error(stderr: str) -> str:
    """What went wrong in a measurement, in a table's cell."""
    if "RESOURCE_EXHAUSTED" in stderr or OUT_OF_MEMORY in stderr.lower():
        return OUT_OF_MEMORY
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else "ended without a word").replace("|", "/")[:160]
