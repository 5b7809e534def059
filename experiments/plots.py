"""All plots: of tables, of speeds, of the controlled checks. Each function returns a Figure."""

import io
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sor_jax.files import write_whole

_DOT, _MEAN, _WARNING = "#1b6ca8", "#c8553d", "#c00000"


def write_figure(path: pathlib.Path, figure: Figure) -> None:
    """Writes a PNG, whole or not at all."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write_whole(path, content.getvalue())


def table_plot(table: dict) -> Figure:
    """Of a report.table_of: every seed a dot, the mean a bar; differences with their intervals.

    Rows that are not done stay empty.
    """
    rows = table["rows"]
    spans = [row["measured"]["difference"] for row in rows]
    figure = Figure((10, 1.4 + 0.36 * len(rows)), layout="constrained")
    figure.suptitle(f"Table {table['table']}: {table['title']}")
    axes = figure.subplots(1, 2 if any(spans) else 1, sharey=True, squeeze=False)[0]
    axes[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    axes[0].set_xlabel("SOR multi, a dot a seed")
    for place, row in enumerate(rows):
        seeds = row["measured"].get("sor_multi", {"seeds": []})["seeds"]
        axes[0].plot(seeds, [place] * len(seeds), "o", color=_DOT, fillstyle="none")
        if seeds:
            axes[0].plot(np.mean(seeds), place, "|", color=_MEAN, markersize=18, mew=3)
    if any(spans):
        axes[1].set_xlabel(f"difference {table['setting']['differences']}")
        axes[1].axvline(0.0, color="#cccccc")
        for place, span in enumerate(spans):
            if span:
                axes[1].plot(span[1:], [place] * 2, color=_DOT, linewidth=3)
                axes[1].plot(span[0], place, "|", color=_MEAN, markersize=18, mew=3)
    for axis in axes:
        axis.grid(axis="y", color="#f0f0f0")
    return figure


def speed_plot(
    title: str,
    results: Sequence[dict],
    *,
    axis: str,
    series_of: Callable[[dict], str],
    panels: Sequence[tuple[str, str]],
    warning: str = "",
) -> Figure:
    """Lines of measurements, a panel for each number.

    Args:
      title: above all.
      results: measurements; those with an "error" are left out.
      axis: the key of a result that runs from left to right.
      series_of: the name of the line that a result belongs to.
      panels: (key of a result, label) of each.
      warning: a second line, which makes both red.
    """
    series = {}
    for result in sorted(results, key=lambda result: result[axis]):
        if "error" not in result:
            series.setdefault(series_of(result), []).append(result)
    figure = Figure((5 * len(panels), 4.4 + 0.2 * len(series)), layout="constrained")
    figure.suptitle(f"{title}\n{warning}", fontsize=10, color=_WARNING if warning else None)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (key, label) in zip(all_axes, panels, strict=True):
        axes.set(xlabel=axis, title=label, xscale="log")
        ticks = sorted({result[axis] for line in series.values() for result in line})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        for name, line in series.items():
            known = [(r[axis], r[key]) for r in line if r.get(key) is not None]
            axes.plot(*zip(*known, strict=True) if known else ((), ()), "o-", label=name)
        axes.set_ylim(bottom=0)
    if series:
        figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower left")
    return figure


def checks_plot(rows: Sequence[tuple[str, Sequence[tuple]]]) -> Figure:
    """Rows of pictures: (heading, [(image u8[h, w, 3], box to frame, caption), ..]) of each."""
    columns = max(len(panels) for _, panels in rows)
    figure = Figure((2.5 * columns, 2.9 * len(rows)), layout="constrained")
    for part, (heading, panels) in zip(
        np.ravel(figure.subfigures(len(rows), 1)), rows, strict=True
    ):
        part.suptitle(heading, x=0.01, ha="left")
        for axes in part.subplots(1, columns, squeeze=False)[0]:
            axes.axis("off")
        for axes, (image, box, caption) in zip(part.axes, panels, strict=False):
            axes.imshow(image)
            corner, size = box[:2] - 1, box[2:] - box[:2] + 1
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white"))
            axes.set_title(caption, y=-0.3, fontsize=9)
    return figure
