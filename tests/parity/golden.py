"""Golden numbers: where they are, what they are called, and what they were made from."""

import functools
import json
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np
import pytest

from configs.reference import centermask, mask_rcnn
from tests.parity import recipe

SLICE = pathlib.Path(__file__).parents[1] / "goldens"
# The original's name of a model -> our config of it.
CONFIGS = {
    "centermask_vov39_ppa": (centermask, "vov39"),
    "centermask_vov57_ppa": (centermask, "vov57"),
    "maskrcnn_r50_ppa": (mask_rcnn, "r50"),
    "maskrcnn_r101_ppa": (mask_rcnn, "r101"),
    **{
        name: (centermask, name)
        for name in ("pos_quant", "pos_quant2", "xywh", "only_pos", "baseline")
    },
}
# What the original calls the losses -> what we call them.
LOSSES = {
    "loss_fcos_cls": "fcos_class",
    "loss_fcos_loc": "fcos_box",
    "loss_fcos_ctr": "fcos_centerness",
    "loss_rpn_cls": "rpn_class",
    "loss_rpn_loc": "rpn_box",
    "loss_cls": "box_class",
    "loss_box_reg": "box",
    "loss_mask": "mask",
    "mask_loss": "mask",
    "loss_maskiou": "mask_iou",
    "sor_loss": "rank",
}


class Golden(NamedTuple):
    """One file of golden numbers; large arrays are kept as samples of their elements."""

    file: pathlib.Path
    model: str
    seed: int

    def arrays(self):
        return _load(self.file)

    def names(self):
        """The arrays that are there, whole or sampled."""
        return sorted({key.split("__")[0] for key in self.arrays()})

    def max_error(self, name, array):
        """The largest absolute difference; checks the shape."""
        stored, array = self.arrays(), np.asarray(array)
        assert array.shape == tuple(stored[f"{name}__shape"]), name
        if name in stored:
            return float(np.abs(stored[name] - array).max(initial=0.0))
        flat = array.reshape(-1)[stored[f"{name}__idx"]]
        return float(np.abs(stored[f"{name}__val"] - flat).max(initial=0.0))

    def spread(self, name):
        """The standard deviation of what is stored of an array."""
        stored = self.arrays()
        return float(stored[name if name in stored else f"{name}__val"].std())

    def losses(self):
        """{our name: value} of a training part."""
        stored = self.arrays()
        names = [LOSSES.get(name, name) for name in stored["loss_names"].tolist()]
        return dict(zip(names, stored["loss_values"].tolist(), strict=True))

    def sibling(self, part):
        """The file of another part of the same model and seed."""
        return self._replace(file=self.file.with_name(f"{self.model}_seed{self.seed}_{part}.npz"))

    def json(self, name):
        """A json file beside this one."""
        return json.loads((self.file.parent / f"{name}.json").read_text())


@functools.lru_cache(maxsize=4)
def _load(file):
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}


def forget():
    """Drops the arrays that are kept."""
    _load.cache_clear()


def folders():
    """The committed slice, and the folder that SOR_GOLDENS names."""
    return [SLICE] + [pathlib.Path(f) for f in [os.environ.get("SOR_GOLDENS")] if f]


def files(pattern):
    """The files of a pattern in all folders, as pytest parameters."""
    params = [
        pytest.param(file, id=f"{file.stem}{'-slice' if folder == SLICE else ''}")
        for folder in folders()
        for file in sorted(folder.glob(pattern))
    ]
    return params + _what_is_missing()


def cases(part, *, whole=(), beside=None, any_model=False):
    """pytest parameters: every file of a part, by model and seed.

    A file in SOR_GOLDENS stands for its slice.

    Args:
      part: as in `{model}_seed{s}_{part}.npz`.
      whole: arrays that must be there with all their elements.
      beside: another part that must be there, too.
      any_model: do not skip models of which there is no config.
    """
    found = {}
    for folder in folders():
        for file in folder.glob(f"*_seed*_{part}.npz"):
            model, seed = re.fullmatch(rf"(.+)_seed(\d+)_{part}", file.stem).groups()
            case = Golden(file, model, int(seed))
            with np.load(file) as stored:
                fits = set(whole) <= set(stored.files)
            if fits and (beside is None or case.sibling(beside).file.exists()):
                found[model, case.seed] = case
    skip = pytest.mark.skip(reason="there is no config of this model in configs/reference")
    params = [
        pytest.param(
            case,
            id=f"{case.model}-{case.seed}{'-slice' if case.file.parent == SLICE else ''}",
            marks=[] if any_model or case.model in CONFIGS else [skip],
        )
        for _, case in sorted(found.items())
    ]
    return params + _what_is_missing()


def _what_is_missing():
    if os.environ.get("SOR_GOLDENS"):
        return []
    reason = "SOR_GOLDENS is unset: it names the folder of golden numbers; the slice was used"
    return [pytest.param(None, id="all", marks=pytest.mark.skip(reason=reason))]


def beside(name):
    """A json file beside the folder of golden numbers, or in the slice."""
    folder = pathlib.Path(os.environ.get("SOR_GOLDENS") or SLICE).parent
    files = [folder / name, SLICE / name]
    return json.loads(next(file for file in files if file.exists()).read_text())


def manifest(model):
    """[[name, shape, dtype], ...] of the original's checkpoint."""
    return beside(f"manifest_{model}.json")


def config(model):
    """Our config of the original's model."""
    file, row = CONFIGS[model]
    return file.get_config(row)


def weights(model, seed):
    """The made-up checkpoint, checked against the recorded checksum where there is one."""
    made = recipe.make_weights(manifest(model), seed)
    for folder in folders():
        meta = folder / f"{model}_seed{seed}_meta.json"
        if meta.exists():
            assert recipe.checksum(made) == json.loads(meta.read_text())["weights_crc32"]
    return made
