"""The metrics as a table for people."""

_ROWS = (
    ("SOR", "sor", "({images_used} images)"),
    ("SOR multi", "sor_multi", "({multi_images} images with two or more matched objects)"),
    ("SA-SOR", "sa_sor", ""),
    ("MAE", "mae", ""),
    ("F-measure", "f_measure", ""),
    ("nDCG linear", "ndcg_linear", ""),
    ("nDCG exp", "ndcg_exp", ""),
    ("box AP", "box_ap", "(AP50 {box_ap50})"),
    ("mask AP", "mask_ap", "(AP50 {mask_ap50})"),
)


def table(metrics: dict[str, float | int | None]) -> str:
    """Lines of `name value (note)`; an undefined value shows as `--`.

    Args:
      metrics: as `Scoreboard.result` gives them, or some of these.
    """
    shown = {name: _text(value) for name, value in metrics.items()}
    width = max(len(name) for name, _, _ in _ROWS)
    lines = [f"{'images':>{width}} {metrics['images']}"]
    for name, key, note in _ROWS:
        if key not in metrics:
            continue
        lines.append(f"{name:>{width}} {shown[key]} {note.format(**shown)}".rstrip())
        if key == "sor_multi":
            matched = "{objects_matched} of {objects} ranked objects".format(**metrics)
            lines.append(f"{'matched':>{width}} {matched}{_percent(metrics)}")
    return "\n".join(lines)


def _text(value: float | int | None) -> str:
    if value is None:
        return "--"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _percent(metrics: dict) -> str:
    if not metrics["objects"]:
        return ""
    return f" ({100 * metrics['objects_matched'] / metrics['objects']:.1f} %)"
