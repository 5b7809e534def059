"""The report of a ranked set as a table for people."""

_COLUMNS = ("SA-SOR", "SOR multi (images)", "SOR (images used)", "objects matched")


def text(report: dict) -> str:
    """What `rank_photographs` returns, in lines."""
    parts = [_counts(report), _people(report), _protocols(report["between_protocols"])]
    return "\n\n".join(part for part in parts if part)


def _counts(report: dict) -> str:
    counts = report["counts"]
    photographs = counts["photographs"]
    lines = [
        f"{photographs} photographs, {counts['objects']} objects, {counts['ranked']} with a rank "
        f"by {report['protocols'][0]}",
        f"{counts['two_or_more']} photographs have two ranked objects or more, "
        f"{counts['without_rank']} have none",
    ]
    if fixations := counts.get("fixations"):
        share = 100 * counts["on_objects"] / fixations
        line = f"{fixations} fixations: {share:.1f} % on objects"
        if report["margin"]:
            line += f" ({100 * counts['moved'] / fixations:.1f} % by the margin)"
        line += f", {100 * counts['outside'] / fixations:.1f} % outside the photographs"
        if counts["people"]:
            line += f"; {counts['people'] / photographs:.1f} people a photograph"
        lines.append(line)
    if unusable := report["unusable_objects"]:
        lines.append(
            f"{len(unusable)} objects have no box or mask that can be used and are left out; the "
            f"first: {unusable[0]}"
        )
    for name, unmet in report["unmet"].items():
        if number := unmet["lacking"]:
            lines.append(f"{number} photographs have no {name} and are left out")
        if number := unmet["unwanted"]:
            lines.append(f"{number} photographs of the {name} are not among those of the objects")
    return "\n".join(lines)


def _people(report: dict) -> str:
    if not report["people"]:
        return "between people: not known, for the input does not tell two or more people apart"
    rows = [
        (
            name,
            f"{_number(one['sa_sor'])} +- {_number(one['sa_sor_deviation'])}",
            f"{_number(one['sor_multi'])} ({_mean(one['multi_images'])})",
            f"{_number(one['sor'])} ({_mean(one['images_used'])} of {_mean(one['images'])})",
            f"{_mean(one['objects_matched'])} of {_mean(one['objects'])}",
        )
        for name, one in report["people"].items()
    ]
    title = (
        f"between people: half of them scored against the other half, mean of {report['halvings']} "
        "random halvings"
    )
    return title + "\n" + _table(("", *_COLUMNS), rows)


def _protocols(between: dict[str, dict]) -> str:
    if not between:
        return ""
    names = list(between)
    rows = [
        (truth, *(_number(between[truth].get(other, {}).get("sa_sor")) for other in names))
        for truth in names
    ]
    title = "between protocols: SA-SOR of the column, the row taken as the truth"
    return title + "\n" + _table(("", *names), rows)


def _table(header: tuple, rows: list[tuple]) -> str:
    widths = [max(len(line[column]) for line in (header, *rows)) for column in range(len(header))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *rows)
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "--" if value is None else f"{value:.3f}"


def _mean(value: float | None) -> str:
    return "--" if value is None else f"{value:.0f}"
