"""Who may use a workdir, and what it remembers of its starts."""

import json
import subprocess
import sys

import jax
import pytest

from sor_jax.train import run as runs
from sor_jax.train.loop import fit
from sor_jax.train.run import claim, record_environment
from tests.train import toy


def changed(**changes):
    config = toy.config()
    for name, value in changes.items():
        section, field = name.split("__")
        config[section][field] = value
    return config


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path, capsys):
    fit(toy.experiment(), toy.config(), tmp_path)
    other = changed(optim__learning_rate=0.2, optim__milestones=(5,), train__log_every=2)
    other.seed = 1
    with pytest.raises(ValueError) as error:
        fit(toy.experiment(), other, tmp_path)
    assert str(error.value).splitlines() == [
        f"{tmp_path} was made by another config or other data:",
        "  config.seed was 0, now 1",
        "  config.optim.learning_rate was 0.1, now 0.2",
        "  config.optim.milestones was [4], now [5]",
        "Take a new workdir, or what made this one; to go on with these changes: "
        "--force=seed,optim.learning_rate,optim.milestones",
    ]
    assert json.loads((tmp_path / "config.json").read_text())["optim"]["learning_rate"] == 0.1

    other.train.steps = 8
    with pytest.raises(ValueError) as error:
        fit(toy.experiment(), other, tmp_path, force=["seed", "optim.milestones"])
    assert "optim.learning_rate was 0.1, now 0.2" in str(error.value)
    assert "config.seed" not in str(error.value)
    with pytest.raises(ValueError, match="optim.learning_rat .*optim.learning_rate"):
        fit(toy.experiment(), other, tmp_path, force=["optim.learning_rat"])

    names = ["seed", "optim.learning_rate", "optim.milestones"]
    assert int(fit(toy.experiment(), other, tmp_path, force=names).step) == 8
    assert json.loads((tmp_path / "config.json").read_text())["optim"]["learning_rate"] == 0.2
    assert int(fit(toy.experiment(), other, tmp_path).step) == 8


def test_data_are_known_by_their_content(tmp_path):
    fit(toy.experiment(data="a1"), toy.config(), tmp_path)
    config = toy.config(steps=8)
    with pytest.raises(ValueError) as error:
        fit(toy.experiment(data="b2"), config, tmp_path)
    assert "the data set's content was a1, now b2" in str(error.value)
    assert "--force=data" in str(error.value)
    assert int(fit(toy.experiment(data="b2"), config, tmp_path, force=["data"]).step) == 8
    assert int(fit(toy.experiment(data="b2"), toy.config(steps=9), tmp_path).step) == 9


def test_a_folder_of_data_may_move(tmp_path):
    def rooted(root, steps, weight=0.5):
        config = toy.config(steps=steps)
        with config.unlocked():
            config.data = {"root": root, "mixture": ((f"{root}/a", weight, "all"),)}
        return config

    fit(toy.experiment(data="a1"), rooted("/here", 6), tmp_path / "known")
    fit(toy.experiment(data="a1"), rooted("/there", 8), tmp_path / "known")
    with pytest.raises(ValueError, match="config.data.mixture was"):
        fit(toy.experiment(data="a1"), rooted("/there", 8, weight=0.6), tmp_path / "known")
    fit(toy.experiment(), rooted("/here", 6), tmp_path / "unknown")
    with pytest.raises(ValueError, match="config.data.root was '/here', now '/there'"):
        fit(toy.experiment(), rooted("/there", 8), tmp_path / "unknown")


def test_a_workdir_whose_fields_had_other_names_goes_on(tmp_path):
    fit(toy.experiment(), toy.config(), tmp_path)
    path = tmp_path / "config.json"
    before = json.loads(path.read_text())
    before["optim"]["rate"] = before["optim"].pop("learning_rate")
    before["optim"]["only"] = before["optim"].pop("trainable")
    path.write_text(json.dumps(before))
    assert int(fit(toy.experiment(), toy.config(steps=7), tmp_path).step) == 7
    before["optim"]["rate"] = 0.3
    path.write_text(json.dumps(before))
    with pytest.raises(ValueError, match="config.optim.learning_rate was 0.3, now 0.1"):
        fit(toy.experiment(), toy.config(steps=8), tmp_path)


@pytest.mark.parametrize(
    "name, content",
    [
        ("config.json", b'{"seed": '),
        ("config.json", b"[]"),
        ("best.json", b'{"step"'),
        ("best.json", b"[]"),
        ("metrics.jsonl", b"\xff\xfe\n"),
        ("environment.jsonl", b'{"step":\n'),
    ],
)
def test_a_damaged_file_of_a_workdir_is_named_before_a_step_is_done(tmp_path, name, content):
    fit(toy.experiment(), toy.config(), tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{tmp_path}/{name}"):
        fit(toy.experiment(), toy.config(steps=8), tmp_path)
    assert not (tmp_path / "checkpoints/8").exists()


def test_how_long_and_how_often_may_change(tmp_path):
    fit(toy.experiment(), toy.config(), tmp_path)
    other = changed(train__steps=7, train__log_every=5, eval__batch_size=1, eval__best_metric="sor")
    assert int(fit(toy.experiment(), other, tmp_path).step) == 7


def test_a_workdir_without_a_checkpoint_takes_any_config(tmp_path):
    with claim(tmp_path, toy.config()):
        pass
    assert int(fit(toy.experiment(), changed(optim__learning_rate=0.2), tmp_path).step) == 6


def test_fields_of_another_version_do_not_count(tmp_path):
    fit(toy.experiment(), toy.config(), tmp_path)
    path = tmp_path / "config.json"
    before = json.loads(path.read_text())
    del before["train"]["profile_steps"]
    path.write_text(json.dumps({**before, "gone": {"field": 3}}))
    fit(toy.experiment(), toy.config(), tmp_path)


_HOLDER = """
import pathlib, sys
from sor_jax.train.run import claim
from tests.train import toy
with claim(pathlib.Path(sys.argv[1]), toy.config()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RuntimeError, match=f"{tmp_path} .*{holder.pid}"):
        fit(toy.experiment(), toy.config(), tmp_path)
    assert not (tmp_path / "checkpoints").exists()
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    assert int(fit(toy.experiment(), toy.config(), tmp_path).step) == 6


def test_every_start_is_recorded_and_changes_are_told(tmp_path, monkeypatch, capsys):
    assert record_environment(tmp_path, 0) == []
    assert record_environment(tmp_path, 3) == []
    lines = (tmp_path / "environment.jsonl").read_text()
    (tmp_path / "environment.jsonl").write_text(lines + '{"step": 4, "sta')  # killed here
    monkeypatch.setenv("XLA_FLAGS", "--xla_other")
    monkeypatch.setitem(runs.__dict__, "_version", lambda name: f"{name} 9")
    changes = record_environment(tmp_path, 5)
    assert f"jax was {jax.__version__}, now jax 9" in changes
    assert any(change.startswith("XLA_FLAGS was ") for change in changes)
    starts = [json.loads(line) for line in (tmp_path / "environment.jsonl").open()]
    assert [start["step"] for start in starts] == [0, 3, 5]
    assert starts[0]["devices"].startswith("4 x cpu") and starts[0]["processes"] == 1

    monkeypatch.undo()
    fit(toy.experiment(), toy.config(), tmp_path)
    assert "last digits" in capsys.readouterr().out
