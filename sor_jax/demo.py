"""The whole way in minutes: draws scenes, trains the small model on them, scores it, shows it.

make demo
"""

import pathlib
import time

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform

_CONFIG = config_flags.DEFINE_config_file("config", "configs/demo.py", "What is trained.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder of all that it makes.")

_SHOWN = {
    "sor_multi": "SOR, images with two or more matched objects",
    "objects_matched": "ranked objects found",
    "objects": "of",
    "sor": "SOR",
    "images_used": "images that SOR could use",
    "images": "of",
    "sa_sor": "SA-SOR",
    "mae": "MAE",
    "mask_ap50": "mask AP50",
}


def main(_):
    """Scores the untrained model, trains, scores again; the numbers come last."""
    platform.configure()
    logging.set_verbosity(logging.WARNING)

    import jax

    from sor_jax.train.evaluation import evaluate_checkpoint, evaluate_variables, start_variables
    from sor_jax.train.logging import duration
    from sor_jax.train.loop import train_and_evaluate

    start = time.perf_counter()
    config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
    untrained = jax.jit(lambda: start_variables(config))()
    results = workdir / "evaluation"
    print("The untrained model:")
    before = evaluate_variables(config, untrained, split="test", out_dir=results / "untrained")
    train_and_evaluate(config, workdir)
    after = evaluate_checkpoint(config, workdir, split="test", out_dir=results / "test")
    print(f"\n{'on scenes never seen in training':44} {'untrained':>9} {'trained':>9}")
    for key, name in _SHOWN.items():
        print(f"{name:44} {_text(before[key]):>9} {_text(after[key]):>9}")
    print(f"\n{duration(time.perf_counter() - start)} in all. Look at the pictures:")
    print(f"  {results / 'test' / 'gallery.png'}   photograph, ground truth, prediction")


def _text(value):
    if value is None:
        return "--"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    app.run(main)
