"""The page, the numbers and the plot of a table."""

import json

from matplotlib.figure import Figure

from experiments.plots import table_plot
from experiments.tables.report import markdown, table_of
from experiments.tables.rows import trained_rows

SEED = {"sor_multi": 0.8, "sor": 0.81, "images_used": 10, "images": 12, "sa_sor": 0.5, "mae": 0.1}
MEASURED = [[SEED, SEED | {"sor_multi": 0.9, "images_used": 12}], [SEED | {"sor": None}], [], []]


def table(differences=None):
    setting = {"data": "scenes", "differences": "to baseline"}
    rows = trained_rows(4)
    return table_of(4, rows, MEASURED, setting=setting, differences=differences)


def test_measured_and_published_numbers_stand_in_columns_of_their_own():
    lines = markdown(table([None, (0.0123, -0.001, 0.02), None, None])).splitlines()
    header, _, *rows = [line for line in lines if line.startswith("|")]
    names = [cell.strip() for cell in header.strip("|").split("|")]
    cells = [
        dict(zip(names, map(str.strip, row.strip("|").split("|")), strict=True)) for row in rows
    ]
    assert cells[0]["measured SOR multi"] == ".8500 ± .0707"  # the sd of .8 and .9 by hand
    assert cells[0]["measured images used"] == "11 of 12"
    assert cells[0]["paper SOR"] == ".830" and cells[0]["paper images used"] == "2176"
    assert cells[1]["measured SOR"] == "--" and cells[1]["measured SOR multi"] == ".8000"
    assert cells[1]["measured difference"] == "+0.0123 [-0.0010, +0.0200]"
    assert cells[3]["measured MAE"] == "--" and cells[3]["paper MAE"] == ".081"
    assert {name.split()[0] for name in names} == {"row", "measured", "seeds", "paper"}


def test_a_table_is_json_and_a_plot_whatever_is_done():
    for differences in (None, [None, (0.01, -0.02, 0.04), None, None]):
        made = table(differences)
        assert json.loads(json.dumps(made))["rows"][0]["paper"]["used"] == 2176
        axes = table_plot(made).axes
        assert [len(row.get_xdata()) for row in axes[0].lines if row.get_marker() == "o"] == [
            *(2, 1, 0, 0)
        ]
        assert len(axes) == (1 if differences is None else 2)
    nothing = table_of(4, trained_rows(4), [[]] * 4, setting={})
    assert "| both | -- |" in markdown(nothing)
    assert isinstance(table_plot(nothing), Figure)
