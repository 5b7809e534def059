"""What every command does with a wrong word, a missing file and an error."""

import jax.numpy as jnp
import pytest
from absl import flags

from sor_jax import commands
from tests.processes import ROOT, error_of, python

SCRIPT = """
from absl import flags
from ml_collections import config_flags
from sor_jax import commands

CONFIG = config_flags.DEFINE_config_file("config")
CAUSE = flags.DEFINE_string("cause", "", "")


def main(argv):
    if CAUSE.value == "user":
        raise ValueError("data.json: 3 boxes, expected 4; add one")
    if CAUSE.value == "library":
        import numpy
        numpy.zeros(3).reshape(2)[0] + numpy.linalg.inv(numpy.zeros((2, 3)))
    if CAUSE.value == "backend":
        import jax
        jax.config.update("jax_platforms", "abacus")
        jax.devices()
    if CAUSE.value == "field":
        CONFIG.value.no_such_field
    if CAUSE.value == "bug":
        {}["nothing"]
    open(CAUSE.value)


commands.run(main)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("commands") / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize(
    "words, named",
    [
        (["--cause=user"], ["data.json: 3 boxes, expected 4"]),
        (["--cause=no/such/file"], ["no/such/file: No such file"]),
        (["--config=no_such.py"], ["no_such.py", "there is no file"]),
        (["--config=configs/demo.py", "--cause=field"], ["no field no_such_field", "base.py"]),
        (["--cause=backend"], ["abacus", "JAX_PLATFORMS", "cpu"]),
        (["--config=run/config.json"], ["run/config.json", "eval.py --workdir"]),
        (["--config=configs/tables.py:nothing"], ["tables.py:nothing", "ppa, baseline"]),
        (["--config=importing.py"], ["importing.py, line 1", "no_such_module"]),
        (["--config=configs/demo.py", "--config.seeed=3"], ["no field seeed", 'mean "seed"']),
        (["--config=configs/demo.py", "--config.zzz=3"], ["no field zzz"]),
        (["steps=3"], ["steps=3", "--NAME"]),
        (["--config=configs/demo.py", "--config.optim.rate=3"], ["config.optim.learning_rate"]),
        (["--config=broken.py"], ["broken.py, line 3", "lerning_rate"]),
        (["--config=old.py"], ["old.py, line 3", "config.optim.learning_rate"]),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_status_1(script, words, named):
    (script.parent / "importing.py").write_text("import no_such_module\n")
    (script.parent / "run").mkdir(exist_ok=True)
    (script.parent / "run/config.json").write_text("{}")
    (script.parent / "broken.py").write_text(
        "from configs import base\ndef get_config():\n    base.get_config().lerning_rate = 1\n"
    )
    (script.parent / "old.py").write_text(
        "from configs import base\ndef get_config():\n    base.get_config().optim.rate = 1\n"
    )
    told = error_of(script, *words, cwd=script.parent)
    for text in named:
        assert text in told
    shown = python(script, *words, "--debug", cwd=script.parent)
    assert shown.returncode == 1 and "Traceback" in shown.stderr


def test_a_flag_that_is_needed_is_named(capsys):
    values = flags.FlagValues()
    flags.DEFINE_string("out", None, "", values)
    flags.mark_flag_as_required("out", values)
    with pytest.raises(SystemExit), commands.plain_errors(all_kinds=lambda: True):
        values(["script.py"])
    assert "--out is not given" in capsys.readouterr().err


@pytest.mark.parametrize("cause", ["library", "bug"])
def test_a_mistake_in_the_code_keeps_its_traceback(script, cause):
    ended = python(script, f"--cause={cause}", cwd=script.parent)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr


def test_a_full_device_is_told_with_what_can_be_lowered(capsys):
    with (
        pytest.raises(SystemExit) as ended,
        commands.plain_errors(),
    ):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes")
    assert ended.value.code == 1
    assert "config.train.batch_size" in capsys.readouterr().err


def test_an_error_within_jax_is_not_the_users():
    with pytest.raises(TypeError), commands.plain_errors():
        jnp.zeros(3) + jnp.zeros(4)


def test_a_config_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text("")
    found = commands.find_config(["train.py", "--config", "configs/demo.py", "--config.seed=3"])
    assert found == ["train.py", "--config", str(ROOT / "configs/demo.py"), "--config.seed=3"]
    assert commands.find_config(["t", "--config=mine.py:a,b"]) == ["t", "--config=mine.py:a,b"]
    assert commands.find_config(["t", "--config=~/mine.py"]) == [
        "t",
        f"--config={tmp_path}/mine.py",
    ]
    with pytest.raises(FileNotFoundError, match="no_such.py"):
        commands.find_config(["t", "--config=no_such.py"])


@pytest.mark.parametrize(
    "config, workdir",
    [
        ("configs/demo.py", "runs/demo"),
        ("/a/b/demo.py", "runs/demo"),
        ("configs/tables.py:ppa,lite,scenes", "runs/tables_ppa_lite_scenes"),
    ],
)
def test_a_run_is_named_after_its_config(config, workdir):
    assert commands.default_workdir(config) == workdir
