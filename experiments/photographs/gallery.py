"""The photographs that a model ranks best and worst, on one page each."""

import pathlib

from sor_jax.evaluation.gallery import picture_of
from sor_jax.files import write_png
from sor_jax.visualize import contact_sheet


def best_and_worst(examples: list[tuple], folder: pathlib.Path, *, count: int = 10) -> None:
    """Writes best.png and worst.png: photograph, ground truth and prediction of each.

    They are ordered by SA-SOR, which counts objects that are not found; equal ones by MAE.
    Photographs for which it is undefined, such as those with one object, take no part.
    """
    with_order = [e for e in examples if e[3]["sa_sor"] is not None]
    order = sorted(with_order, key=lambda e: (-e[3]["sa_sor"], e[3]["mae"]))
    for name, chosen in (("best", order[:count]), ("worst", order[::-1][:count])):
        panels = [picture_of(*seen, _note(scores)) for *seen, scores in chosen]
        if panels:
            write_png(folder / f"{name}.png", contact_sheet(panels))


def _note(scores) -> str:
    return f"SA-SOR {scores['sa_sor']:.2f}, {scores['matched']} of {scores['objects']} matched"
