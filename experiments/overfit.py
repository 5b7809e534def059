"""Shows that nothing in the chain is broken: a few photographs, learnt by heart.

    python -m experiments.overfit --root PATH_TO_ASSR_LAYOUT --workdir runs/overfit \
        [--config configs/mask_rcnn_lite.py]

Takes the first photographs by name that have three or more ranked objects, trains configs/lite.py,
or another config, on them alone and scores it on the same ones.
"""

import json
import pathlib
import shutil

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform

_CONFIG = config_flags.DEFINE_config_file("config", "configs/lite.py", "What is trained.")
_ROOT = flags.DEFINE_string("root", None, "A data set in ASSR layout; its train split is read.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/overfit", "Folder of all that it makes.")
_IMAGES = flags.DEFINE_integer("images", 8, "How many photographs.")
_STEPS = flags.DEFINE_integer("steps", 300, "Training steps of all photographs each.")
flags.mark_flags_as_required(["root"])


def choose(root: pathlib.Path, count: int, *, ranked: int = 3) -> list[str]:
    """The first `count` names of the train split with at least `ranked` ranked objects."""
    chosen = []
    for name in sorted((root / "train_images.txt").read_text().split()):
        order = json.loads((root / "rank_order/train" / f"{name}.json").read_text())["rank_order"]
        if sum(value > 0.5 for value in order) >= ranked:
            chosen.append(name)
    return chosen[:count]


def copy_subset(root: pathlib.Path, names: list[str], to: pathlib.Path) -> None:
    """Writes an ASSR folder whose train and test split are both `names`."""
    annotations = json.loads((root / "obj_seg_data_train.json").read_text())
    kept = [entry for entry in annotations if entry["img"] in names]
    for split in ("train", "val", "test"):
        (to / f"{split}_images.txt").parent.mkdir(parents=True, exist_ok=True)
        (to / f"{split}_images.txt").write_text("".join(f"{name}\n" for name in names))
        (to / f"obj_seg_data_{split}.json").write_text(json.dumps(kept))
        for folder, ending in (("images", "jpg"), ("gt", "png"), ("rank_order", "json")):
            (to / folder / split).mkdir(parents=True, exist_ok=True)
            for name in names:
                file = f"{name}.{ending}"
                shutil.copyfile(root / folder / "train" / file, to / folder / split / file)


def overfit_config(config, root: pathlib.Path, *, images: int, steps: int):
    """A config for learning by heart: no flip, no dropout, no weight decay."""
    config.data.update(name="assr", root=str(root), flip=False)
    config.model.ranking.dropout = 0.0
    config.optim.update(weight_decay=0.0, milestones=(int(0.7 * steps), int(0.9 * steps)))
    config.optim.warmup_steps = min(50, steps // 5)
    config.train.update(steps=steps, batch_size=images, log_every=25, eval_every=0)
    config.train.checkpoint_every = 0
    config.eval.update(split="test", batch_size=images)
    return config


def main(_):
    """Copies the photographs, trains, scores."""
    platform.configure()
    logging.set_verbosity(logging.WARNING)

    from sor_jax.evaluation.checkpoint import evaluate_checkpoint
    from sor_jax.train.loop import train_and_evaluate

    workdir = pathlib.Path(_WORKDIR.value)
    root = pathlib.Path(_ROOT.value)
    names = choose(root, _IMAGES.value)
    copy_subset(root, names, workdir / "photographs")
    config = overfit_config(
        _CONFIG.value, workdir / "photographs", images=len(names), steps=_STEPS.value
    )
    train_and_evaluate(config, workdir)
    evaluate_checkpoint(config, workdir, split="test", prefer="last")


if __name__ == "__main__":
    commands.run(main)
