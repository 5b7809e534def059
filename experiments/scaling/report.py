"""Measurements of speed as a page and a plot."""

import dataclasses
import re

from experiments.scaling.plan import series_of

OUT_OF_MEMORY = "out of memory"


@dataclasses.dataclass(frozen=True)
class Kind:
    """How an experiment is shown.

    Attributes:
      columns: (key of a result, heading, format of the value or what writes it) of each.
      panels: (key, label) of each part of the plot.
      note: what the columns mean.
      warning: why the timings mean nothing, if they do.
    """

    columns: tuple
    panels: tuple
    note: str
    warning: str = ""


def _giga(digits):
    return lambda value: f"{value / 1e9:.{digits}f}"


def _milli(value):
    return f"{value * 1e3:.1f}"


_FLOPS = (
    "FLOPs are those of convolutions and matrix products, of the heads as many as ran at least, "
    "recomputed ones too; XLA's own count takes a loop once, and GPUs tell none."
)
DEVICES = Kind(
    columns=(
        ("scaling", "scaling", "{}"),
        ("devices", "devices", "{}"),
        ("batch", "batch", "{}"),
        ("dtype", "dtype", "{}"),
        ("images_per_second", "images/s", "{:.2f}"),
        ("efficiency", "efficiency", "{:.0%}"),
        ("step_seconds", "step, s", "{:.4f}"),
        ("wait_seconds", "of it input wait, s", "{:.4f}"),
        ("peak_bytes", "peak memory a device, GB", _giga(2)),
        ("flops", "GFLOP a step and device", _giga(1)),
        ("share", "share of the peak", "{:.1%}"),
        ("objects", "objects an image", "{:.1f}"),
        ("foreground", "regions an image", "{:.1f}"),
    ),
    panels=(("images_per_second", "images/s"), ("efficiency", "efficiency")),
    note="Efficiency: images a second and device, relative to the first row of a series. Peak "
    "memory is the device's own where it tells, else the compiler's plan for the step. Regions: "
    f"foreground that reached the heads. {_FLOPS}",
)
SIMULATED = dataclasses.replace(
    DEVICES,
    warning="Simulated devices: they share the cores of one CPU. This checks the machinery; its "
    "timings mean nothing.",
)
ONE_DEVICE = Kind(
    columns=(
        ("batch", "batch", "{}"),
        ("dtype", "dtype", "{}"),
        ("images_per_second", "training, images/s", "{:.1f}"),
        ("step_seconds", "step, ms", _milli),
        ("peak_bytes", "peak memory, GB", _giga(1)),
        ("host_bytes", "process, GB", _giga(1)),
        ("objects", "objects an image", "{:.1f}"),
        ("foreground", "regions an image", "{:.1f}"),
        ("flops", "GFLOP a step", _giga(0)),
        ("share", "share of the peak", "{:.1%}"),
        ("compile_seconds", "compiling, s", "{:.0f}"),
        ("predict_images_per_second", "prediction, images/s", "{:.1f}"),
        ("predict_seconds", "prediction, ms", _milli),
        ("detections", "detections an image", "{:.1f}"),
        ("predict_compile_seconds", "its compiling, s", "{:.0f}"),
    ),
    panels=(
        ("images_per_second", "training, images/s"),
        ("predict_images_per_second", "prediction, images/s"),
    ),
    note="One device, and one batch that stays on it: no reading, no copying. Training is the "
    "whole step with its update; regions are the foreground that reached the heads. Prediction has "
    "as many detections as an image may have. Times are medians; process is the most memory that "
    f"the whole process took on the host. {_FLOPS}",
)


def file_stem(*words: str) -> str:
    """A file name without ending, of lower-case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", " ".join(words).lower()).strip("_")


def markdown(title: str, results: list[dict], kind: Kind) -> str:
    """A page with a row for each result; an "error" stands in the first column without a value."""
    lines = [f"# {title}", "", *([f"**{kind.warning}**", ""] if kind.warning else ())]
    lines += [kind.note, "", "| " + " | ".join(heading for _, heading, _ in kind.columns) + " |"]
    lines.append("|---" * len(kind.columns) + "|")
    for result in results:
        lacking = [result.get(key) is None for key, _, _ in kind.columns]
        cells = [
            "--"
            if lacks
            else (write(result[key]) if callable(write) else write.format(result[key]))
            for lacks, (key, _, write) in zip(lacking, kind.columns, strict=True)
        ]
        if "error" in result:
            cells[lacking.index(True)] = result["error"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(title: str, results: list[dict], kind: Kind):
    """A matplotlib Figure: the kind's numbers over devices, or over the batch on one device."""
    from experiments.plots import speed_plot

    several = len({result["devices"] for result in results}) > 1
    return speed_plot(
        title,
        results,
        axis="devices" if several else "batch",
        series_of=_line if several else lambda result: result["dtype"],
        panels=kind.panels,
        warning=kind.warning,
    )


def _line(result):
    scaling, dtype, batch = series_of(result)
    return f"{scaling}, batch {batch}{' a device' if scaling == 'weak' else ''}, {dtype}"


def short_error(stderr: str) -> str:
    """What went wrong in a measurement, in a table's cell."""
    if "RESOURCE_EXHAUSTED" in stderr or OUT_OF_MEMORY in stderr.lower():
        return OUT_OF_MEMORY
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else "ended without a word").replace("|", "/")[:160]
