"""The wheel holds the package and nothing else, and ranks in a folder with names of its own."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest
from PIL import Image

from tests.door.models import exported, photograph

REPOSITORY = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # pip builds in the source's own folder: from a copy, it leaves nothing behind.
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        (source / name).write_bytes((REPOSITORY / name).read_bytes())
    for name in ("sor_jax", "data", "configs", "experiments"):
        (source / name).mkdir()
        for path in (REPOSITORY / name).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                copy = source / path.relative_to(REPOSITORY)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, source, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode and "setuptools" in done.stderr and "find a version" in done.stderr:
        pytest.skip("setuptools cannot be fetched to build with")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_it_holds_the_package_alone_with_its_weights(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    info = f"{wheel.name.split('-')[0]}-0.1.0.dist-info"
    assert {name.split("/")[0] for name in names} == {"sor_jax", info}
    for path in (REPOSITORY / "sor_jax/pretrained").glob("*/*.*"):
        assert path.suffix == ".pyc" or str(path.relative_to(REPOSITORY)) in names
    assert "sor_jax/datasets/assr/builder.py" in names


def test_it_ranks_in_a_folder_with_its_own_data_and_configs(wheel, tmp_path):
    site, here = tmp_path / "site", tmp_path / "here"
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    here.mkdir()
    for name in ("data", "configs", "experiments", "tests"):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("raise ImportError('the user\\'s own')")
    Image.fromarray(photograph(0)).save(here / "p.png")
    program = (
        "import sys, sor_jax\n"
        "assert 'site' in sor_jax.__file__, sor_jax.__file__\n"
        "from sor_jax.models.vovnet import VOVNETS, VoVNetSpec\n"  # known to the tests alone
        "tiny = VoVNetSpec((8,) * 4, (16,) * 4, layers=1, blocks=(1,) * 4, stem=(8,) * 3)\n"
        "VOVNETS['tiny'] = tiny\n"
        "from sor_jax.cli import main\n"
        f"sys.exit(main(['rank', 'p.png', '--model', {exported()!r}]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "rank 1 .. 5" in done.stdout
    assert (here / "p.ranked.png").is_file()
    script = (site / "bin/sor-jax").read_text()
    assert "sor_jax.cli" in script
