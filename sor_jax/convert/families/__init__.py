"""The families of checkpoints that can be read: one file and one rename table each."""

from collections.abc import Iterable

from sor_jax.convert.families.centermask import CENTERMASK
from sor_jax.convert.families.efficientnet_lite import EFFICIENTNET_LITE
from sor_jax.convert.families.family import Family
from sor_jax.convert.families.mask_rcnn import MASK_RCNN
from sor_jax.convert.families.timm_vovnet import TIMM_VOVNET, TIMM_VOVNET_DW

FAMILIES = (CENTERMASK, MASK_RCNN, TIMM_VOVNET, TIMM_VOVNET_DW, EFFICIENTNET_LITE)
# Whose names and layouts --to torch writes, by config.model.detector.
ORIGINALS = {"centermask": CENTERMASK, "mask_rcnn": MASK_RCNN}


def recognise(names: Iterable[str], *, where: str) -> Family:
    """The family of a checkpoint, by the names of its arrays.

    Raises:
      ValueError: no family has such names.
    """
    names = set(names)
    for family in FAMILIES:
        if names.intersection(family.signature):
            return family
    known = "\n".join(f"  {f.name}: has {' or '.join(f.signature)}" for f in FAMILIES)
    raise ValueError(
        f"{where} is of no known family; its arrays are called "
        f"{', '.join(sorted(names)[:4])}, ..\nKnown families:\n{known}"
    )
