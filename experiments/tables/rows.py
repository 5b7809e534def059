"""The rows of the paper's tables: which config each one is, and what the paper reports for it.

All numbers here are the paper's, on the 2418 test images of ASSR.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
      name: as the paper has it.
      config: a row of configs/tables.py, or a file of configs with its ending (full size
        on ASSR only); "" for methods of which only maps are known (eval.py --maps).
      mae, sor, used: the paper's numbers.
    """

    name: str
    config: str
    mae: float
    sor: float
    used: int


FULL = Row("CenterMask-39, PPA", "ppa", 0.081, 0.841, 2371)


def _ppa(name):
    return dataclasses.replace(FULL, name=name)


TABLES = {
    1: (
        _ppa("Ours"),
        Row("RSDNet", "", 0.139, 0.728, 2418),
        Row("S4Net", "", 0.150, 0.891, 1507),
        Row("BASNet", "", 0.115, 0.707, 2402),
        Row("CPD-R", "", 0.100, 0.766, 2417),
        Row("SCRN", "", 0.116, 0.756, 2418),
        Row("ASRNet", "", 0.101, 0.792, 2365),
    ),
    2: (Row("two-stage", "two_stage", 0.082, 0.835, 2369), _ppa("end-to-end")),
    3: (
        Row("Mask R-CNN-50", "mask_rcnn_r50.py", 0.097, 0.817, 2354),
        Row("Mask R-CNN-101", "mask_rcnn_r101.py", 0.094, 0.826, 2366),
        _ppa("CenterMask-39"),
        Row("CenterMask-57", "centermask_vov57.py", 0.085, 0.848, 2376),
    ),
    4: (
        Row("baseline", "baseline", 0.104, 0.830, 2176),
        Row("+ position", "position", 0.095, 0.836, 2344),
        Row("+ attention", "attention", 0.088, 0.839, 2365),
        _ppa("both"),
    ),
    5: (
        Row("(Cx, Cy)", "center", 0.092, 0.835, 2366),
        Row("(Cx, Cy, w, h)", "box", 0.088, 0.836, 2370),
        Row("learnable position, q 4", "grid_q4", None, None, None),
        Row("learnable position, q 8", "grid_q8", 0.082, 0.821, 2368),
        Row("learnable position and scale", "grid_scale", 0.083, 0.834, 2370),
        _ppa("PPA"),
    ),
}
TITLES = {
    1: "state of the art",
    2: "two-stage and end-to-end training",
    3: "detectors and backbones",
    4: "position and interaction",
    5: "ways to tell the position",
}


def trained_rows(table: int) -> tuple[Row, ...]:
    """The rows of a table that have a config."""
    return tuple(row for row in TABLES[table] if row.config)
