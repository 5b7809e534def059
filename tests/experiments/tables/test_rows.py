"""Rows are configs: each lists only its differences from the setting it is measured in."""

import pathlib

import jax
import jax.numpy as jnp
import pytest

from configs import tables
from experiments.tables.rows import TABLES, trained_rows
from sor_jax.build import build_model
from sor_jax.structures import Boxes

CONFIGS = pathlib.Path(__file__).parents[3] / "configs"
RANKING = "model.ranking."
# What each row changes, by hand from the paper's tables, at full size.
EXPECTED = {
    "ppa": {},
    "baseline": {RANKING + "position": "none", RANKING + "interaction": False},
    "position": {RANKING + "interaction": False},
    "attention": {RANKING + "position": "none"},
    "center": {RANKING + "position": "center", RANKING + "hidden": (1024, 1022)},
    "box": {RANKING + "position": "box", RANKING + "hidden": (1024, 1020)},
    "grid_q4": {RANKING + "position": "grid", RANKING + "center_grid": 4},
    "grid_q8": {RANKING + "position": "grid"},
    "grid_scale": {RANKING + "position": "grid_scale"},
    "detection": {"loss.weights.rank": 0.0, "eval.best_metric": "mask_ap"},
    "two_stage": {
        "optim.trainable": ("ranking",),
        "optim.milestones": (3100, 3700),
        "train.steps": 4000,
    },
}


def row_config(name, where):
    return tables.get_config(f"{name},{where}")


def flat(fields, prefix=""):
    found = {}
    for name, value in fields.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{name}.") if inner else {prefix + name: value}
    return found


def test_every_row_is_known():
    names = set(tables.ROWS)
    assert names == set(EXPECTED)
    in_tables = {row.config for rows in TABLES.values() for row in rows if row.config}
    assert {name for name in in_tables if not name.endswith(".py")} == names - {"detection"}
    assert all((CONFIGS / name).is_file() for name in in_tables if name.endswith(".py"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_row_changes_what_the_paper_says_and_nothing_else(name):
    base = flat(tables.SETTINGS["full,assr"]().to_dict())
    own = flat(row_config(name, "full,assr").to_dict())
    assert {key: value for key, value in own.items() if base[key] != value} == EXPECTED[name]


@pytest.mark.parametrize("where", ["lite,assr", "lite0,assr", "lite,scenes", "full,assr"])
@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_has_tokens_of_one_width_and_five_logits(name, where):
    """A centre beside the token must not leave a width that the heads cannot share."""
    head = build_model(row_config(name, where)).ranking
    boxes = Boxes(jnp.zeros((1, 3, 4)), jnp.ones((1, 3), bool))
    arguments = (jnp.zeros((1, 3, 14, 14, 18)), jnp.zeros((1, 3, 28, 28)), boxes)
    hw = jnp.array([[64, 64]])
    out, variables = jax.eval_shape(
        lambda key: head.init_with_output(key, *arguments, hw), jax.random.key(0)
    )
    assert out.shape == (1, 3, 5)
    width = variables["params"]["rank"]["kernel"].shape[0]
    assert width == tables.SETTINGS[where]().model.ranking.hidden[-1]


def test_rows_of_an_unknown_setting():
    with pytest.raises(ValueError, match="'lite,coco'.*full,assr"):
        row_config("ppa", "lite,coco")
    with pytest.raises(ValueError, match="'base'.*ppa, baseline"):
        row_config("base", "full,assr")


def test_a_row_alone_is_the_papers_own_setting():
    assert tables.get_config("box") == tables.get_config("box,full,assr")


def test_tables_hold_the_papers_numbers():
    both = trained_rows(4)[-1]
    assert (both.mae, both.sor, both.used) == (0.081, 0.841, 2371)
    assert [row.sor for row in TABLES[4]] == [0.830, 0.836, 0.839, 0.841]
    assert [row.name for row in TABLES[1] if not row.config] == [
        *("RSDNet", "S4Net", "BASNet", "CPD-R", "SCRN", "ASRNet")
    ]
