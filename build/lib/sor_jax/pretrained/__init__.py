"""The weights that come with the package: a folder each, see sor_jax.checkpoints.exported."""

import os
import pathlib

HERE = pathlib.Path(__file__).parent
DEFAULT = "lite0"


def names() -> list[str]:
    """The names of the shipped models."""
    return sorted(path.parent.name for path in HERE.glob("*/card.json"))


def find(model: str | os.PathLike) -> pathlib.Path:
    """The folder of a model: of a shipped one by its name, else the folder that `model` names.

    A shipped name comes first; a folder of the same name is "./NAME".
    """
    if str(model) in names():
        return HERE / str(model)
    folder = pathlib.Path(model).expanduser()
    if folder.is_dir():
        return folder
    shipped = ", ".join(names()) or "none is shipped"
    raise FileNotFoundError(
        f"there is no model {str(model)!r}: expected a name ({shipped}), the workdir of a training "
        f"run or a folder of weights; {folder.absolute()} is no folder"
    )
