"""The house rules that a reader relies on: imports run downward, what is not needed stays out."""

import ast

import pytest

from tests.processes import ROOT, output_of

# A room may import from rooms of a lower floor, and from itself.
FLOORS = [
    {"sor_jax.metrics"},
    {
        "sor_jax.structures",
        "sor_jax.visualize",
        "sor_jax.files",
        "sor_jax.pickles",
        "sor_jax.pretrained",
        "sor_jax.jobs",
        "sor_jax.crop",
    },
    {"sor_jax.platform", "sor_jax.config", "sor_jax.datasets", "sor_jax.ops", "sor_jax.losses"},
    {
        "sor_jax.commands",
        "sor_jax.photograph",
        "sor_jax.inputs",
        "sor_jax.models",
        "sor_jax.targets",
        "sor_jax.decode",
    },
    {"sor_jax.detectors"},
    {"sor_jax.build", "sor_jax.distributed", "sor_jax.ranking"},
    {"sor_jax.checkpoints", "sor_jax.programs"},
    {"sor_jax.evaluation", "sor_jax.convert", "sor_jax.export"},
    {"sor_jax.train", "sor_jax.ranker", "sor_jax.batch"},
    {"sor_jax.web"},
    {"sor_jax.cli"},
    {"sor_jax.__main__"},
    {"experiments"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(
    file for folder in ("sor_jax", "experiments") for file in (ROOT / folder).rglob("*.py")
)


def room_of(module):
    parts = module.split(".")
    return "experiments" if parts[0] == "experiments" else ".".join(parts[:2])


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "sor_jax":
                yield from (f"sor_jax.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_downward(file):
    name = str(file.relative_to(ROOT))
    if file.name == "__init__.py" and file.parent.name == "sor_jax":
        return
    here = room_of(name.removesuffix(".py").replace("/", "."))
    assert here in FLOOR, f"{name} is in no room of the house: give it one in this test"
    for module in imported(file):
        if module.split(".")[0] not in ("sor_jax", "experiments", "data", "configs", "tests"):
            continue
        there = room_of(module)
        assert there in FLOOR, f"{name} imports {module}"
        assert there == here or FLOOR[there] < FLOOR[here], f"{name} imports {module} from above"


def test_orbax_stays_in_its_two_files():
    knowing = {f.name for f in FILES if any(m.split(".")[0] == "orbax" for m in imported(f))}
    assert knowing <= {"checkpoint.py", "saved.py"}


def test_neither_tensorflow_nor_torch_is_imported():
    code = (
        "import sys, sor_jax.train.loop, sor_jax.evaluation.checkpoint, sor_jax.datasets.source; "
        "assert not {'tensorflow', 'torch'} & set(sys.modules)"
    )
    output_of("-c", code)


def lengths(file):
    """(name, lines) of every function of a file, docstrings with it, decorators without."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def test_files_and_functions_stay_small():
    """At most 250 lines a file and 60 a function, in all that is not a test."""
    files = [*FILES, ROOT / "train.py", ROOT / "eval.py"]
    files += [file for room in ("data", "configs") for file in (ROOT / room).rglob("*.py")]
    assert not {str(f): n for f in files if (n := len(f.read_text().splitlines())) > 250}
    assert not {f"{f} {name}": n for f in files for name, n in lengths(f) if n > 60}
