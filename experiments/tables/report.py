"""A table as a page, as numbers and as a plot: what was measured beside what the paper reports."""

import statistics
from collections.abc import Sequence

from experiments.tables.rows import TITLES, Row

MEASURED = (
    ("sor_multi", "SOR multi"),
    ("sor", "SOR"),
    ("images_used", "images used"),
    ("sa_sor", "SA-SOR"),
    ("mae", "MAE"),
)
_NOTE = (
    "Measured: mean ± standard deviation over the seeds that are done. SOR multi is SOR over the "
    "images with two or more matched objects; difference: of it to one row, image by image, with "
    "the 95 % interval of a bootstrap over images and seeds. Paper: as published, on the 2418 test "
    "images of ASSR with full-size models that start from COCO weights; another experiment, so "
    "only the order of rows compares."
)


def table_of(
    number: int,
    rows: Sequence[Row],
    measured: Sequence[Sequence[dict]],
    *,
    setting: dict,
    differences: Sequence[tuple[float, float, float] | None] | None = None,
) -> dict:
    """A table for JSON.

    Args:
      number: of the paper's table.
      rows: those that are trained.
      measured: for each row the metrics of its seeds; a row without any is not done.
      setting: what was done, in a few words or numbers by name.
      differences: of each row to one of them, (mean, low, high) of sor_multi.
    """
    differences = differences or [None] * len(rows)
    return {
        "table": number,
        "title": TITLES[number],
        "setting": setting,
        "rows": [
            {
                "name": row.name,
                "config": row.config,
                "measured": _measured(seeds, difference),
                "paper": {"mae": row.mae, "sor": row.sor, "used": row.used},
            }
            for row, seeds, difference in zip(rows, measured, differences, strict=True)
        ],
    }


def _measured(seeds, difference):
    spread = {}
    for key, _ in MEASURED:
        values = [metrics[key] for metrics in seeds if metrics[key] is not None]
        if values:
            sd = statistics.stdev(values) if len(values) > 1 else None
            spread[key] = {"mean": statistics.fmean(values), "sd": sd, "seeds": values}
    images = seeds[0]["images"] if seeds else None
    return {"seeds": len(seeds), "images": images, **spread, "difference": difference}


def markdown(table: dict) -> str:
    """The page of a table_of."""
    with_difference = any(row["measured"]["difference"] for row in table["rows"])
    heads = ["row", *(f"measured {name}" for _, name in MEASURED)]
    heads += ["measured difference"] if with_difference else []
    heads += ["seeds", "paper MAE", "paper SOR", "paper images used"]
    lines = [f"# Table {table['table']}: {table['title']}", ""]
    lines += [f"- {name}: {value}" for name, value in table["setting"].items()]
    lines += ["", _NOTE, "", _line(heads), _line(["---"] * len(heads))]
    for row in table["rows"]:
        measured, paper = row["measured"], row["paper"]
        cells = [row["name"], *(_spread(measured, key) for key, _ in MEASURED)]
        cells += [_interval(measured["difference"])] if with_difference else []
        cells += [str(measured["seeds"] or "--"), _text(paper["mae"], 3), _text(paper["sor"], 3)]
        lines.append(_line([*cells, "--" if paper["used"] is None else str(paper["used"])]))
    return "\n".join(lines) + "\n"


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def _spread(measured, key):
    if key not in measured:
        return "--"
    mean, sd = measured[key]["mean"], measured[key]["sd"]
    if key == "images_used":
        return f"{mean:.0f} of {measured['images']}"
    return _text(mean) + ("" if sd is None else f" ± {_text(sd)}")


def _interval(difference):
    if difference is None:
        return "--"
    mean, low, high = difference
    return f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"


def _text(value, digits=4):
    return "--" if value is None else f"{value:.{digits}f}".removeprefix("0")
