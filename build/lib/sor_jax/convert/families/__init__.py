"""The families of checkpoints that can be read: one file and one rename table each."""

from sor_jax.convert.families.centermask import CENTERMASK
from sor_jax.convert.families.efficientnet_lite import EFFICIENTNET_LITE
from sor_jax.convert.families.mask_rcnn import MASK_RCNN
from sor_jax.convert.families.resnet import RESNET
from sor_jax.convert.families.timm_vovnet import TIMM_VOVNET, TIMM_VOVNET_DW

FAMILIES = (CENTERMASK, MASK_RCNN, TIMM_VOVNET, TIMM_VOVNET_DW, EFFICIENTNET_LITE, RESNET)
# Whose names and layouts --to torch writes, by config.model.detector.
ORIGINALS = {"centermask": CENTERMASK, "mask_rcnn": MASK_RCNN}
