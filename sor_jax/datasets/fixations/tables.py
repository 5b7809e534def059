"""Fixations out of one file: JSON as OSIE's, or a table in CSV."""

import collections
import csv
import math
import os
import pathlib
from typing import Any

import numpy as np

from sor_jax.datasets.fixations.looks import Looks, looks_of_people

_JSON = (
    'expected a list of {"img": id, "fixations": [one list of [x, y, milliseconds] or [x, y] a '
    'person]} or of {"img": id, "looked_at": [[x, y], ..]}'
)
_NEEDED, _OPTIONAL = ("image", "x", "y"), ("person", "t", "duration")


def looks_of_entry(entry: dict) -> Looks:
    """Looks from what a JSON file has of one photograph. Raises ValueError."""
    if "fixations" in entry:
        people = entry["fixations"]
        if not isinstance(people, list):
            raise ValueError(f"fixations is {_short(people)}; expected a list, one a person")
        return looks_of_people(
            [_points(path, f"person {index}", (2, 3)) for index, path in enumerate(people)]
        )
    if "looked_at" in entry:
        return Looks(xy=_points(entry["looked_at"], "looked_at", (2,)))
    raise ValueError("has neither the field fixations nor looked_at")


def size_of_entry(entry: dict) -> tuple[int, int] | None:
    """(h, w) of the photograph as a JSON file states it in `size` [w, h]; None where it does not.

    Raises ValueError.
    """
    if "size" not in entry:
        return None
    size = entry["size"]
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(isinstance(side, int) and side > 0 for side in size)
    ):
        raise ValueError(f"size is {_short(size)}; expected [width, height] in pixels")
    return size[1], size[0]


def by_image(entries, path: pathlib.Path) -> dict[str, dict]:
    """The entries of a JSON file by image id. Raises ValueError."""
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: {_JSON}; found {_short(entries)}")
    found = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("img"), str):
            raise ValueError(f"{path}, entry {index}: {_JSON}; found {_short(entry)}")
        if entry["img"] in found:
            raise ValueError(f"{path}, entry {index}: a second entry of {entry['img']}; remove one")
        found[entry["img"]] = entry
    return found


def read_csv(path: pathlib.Path) -> dict[str, Looks]:
    """Looks by image id from a table with a header: image, x, y[, person][, t][, duration].

    `t` orders the fixations of a person, in any unit; `duration` is in milliseconds. The delimiter
    is a comma, semicolon or tab; further columns are ignored. An image is an id or a file name.
    Raises ValueError with file, line and field.
    """
    rows = _read_rows(path)
    by_photograph = collections.defaultdict(list)
    for row in rows:
        by_photograph[row["image"]].append(row)
    return {image_id: _looks_of_rows(group) for image_id, group in by_photograph.items()}


def image_id_of(name: str) -> str:
    """The id behind the name of an image file; an id stays as it is."""
    stem, suffix = os.path.splitext(os.path.basename(name))
    is_file = suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".mat")
    return stem if is_file else os.path.basename(name)


def _points(values, what: str, widths: tuple[int, ...]) -> np.ndarray:
    """f64[n, width] from a list of lists of numbers."""
    wanted = " or ".join(("[x, y]", "[x, y, milliseconds]")[width - 2] for width in widths)
    if not isinstance(values, list):
        raise ValueError(f"{what} is {_short(values)}; expected a list of {wanted}")
    for index, point in enumerate(values):
        if not isinstance(point, list) or len(point) not in widths or not all(map(_is_real, point)):
            raise ValueError(f"{what}, fixation {index} is {_short(point)}; expected {wanted}")
        if len(point) != len(values[0]):
            raise ValueError(
                f"{what}, fixation {index} is {_short(point)}; others have another number of values"
            )
    return np.asarray(values, np.float64).reshape(len(values), -1) if values else np.zeros((0, 2))


def _is_real(value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 1e9  # false for nan


def _read_rows(path: pathlib.Path) -> list[dict]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8 ({error}); save it as CSV") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().lower() for name in header.split(delimiter)]
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise ValueError(
            f"{path}: the header has no column {', '.join(missing)}; found {names}; expected "
            f"{', '.join(_NEEDED)} and perhaps {', '.join(_OPTIONAL)}"
        )
    known = [name for name in (*_NEEDED, *_OPTIONAL) if name in names]
    rows = []
    try:
        table = list(csv.reader(lines[1:], delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"{path}: not a table in CSV ({error})") from error
    for number, values in enumerate(table, start=2):
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(names):
            raise ValueError(f"{path}, line {number}: {len(values)} values, header {len(names)}")
        fields = dict(zip(names, values, strict=True))
        rows.append(_row({name: fields[name].strip() for name in known}, path, number))
    if not rows:
        raise ValueError(f"{path}: holds no fixation, only a header")
    return rows


def _row(fields: dict, path: pathlib.Path, number: int) -> dict:
    row: dict[str, Any] = {"image": image_id_of(fields["image"])}
    if "person" in fields:
        row["person"] = fields["person"]
    for name, value in row.items():
        if not value:
            raise ValueError(f"{path}, line {number}: {name} is empty")
    for name in fields.keys() - row.keys():
        try:
            row[name] = float(fields[name])
        except ValueError:
            row[name] = math.nan
        if not _is_real(row[name]) or (name == "duration" and row[name] < 0):
            raise ValueError(
                f"{path}, line {number}: {name} is {fields[name]!r}; expected a number"
                + (" of milliseconds, 0 or more" if name == "duration" else "")
            )
    return row


def _looks_of_rows(rows: list[dict]) -> Looks:
    if "t" in rows[0]:
        rows = sorted(rows, key=lambda row: row["t"])
    if "person" in rows[0]:
        names = sorted({row["person"] for row in rows})
        person = np.asarray([names.index(row["person"]) for row in rows])
    else:
        names, person = [], None
    has_duration = "duration" in rows[0]
    return Looks(
        xy=np.asarray([[row["x"], row["y"]] for row in rows]),
        person=person,
        num_people=len(names),
        duration=np.asarray([row["duration"] for row in rows]) if has_duration else None,
        is_ordered="person" in rows[0] and "t" in rows[0],
    )


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
