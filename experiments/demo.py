"""The whole way in minutes: draws scenes, trains the small model on them, scores it, shows it.

make demo
"""

import pathlib
import time

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands, platform

_CONFIG = config_flags.DEFINE_config_file("config", "configs/demo.py", "What is trained.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/demo", "Folder of all that it makes.")

# What is said of each metric, from the dict of all of them.
_ROWS = {
    "SOR, images with two or more matched objects": "{sor_multi}",
    "ranked objects found": "{objects_matched} of {objects}",
    "SOR": "{sor}",
    "images that SOR could use": "{images_used} of {images}",
    "SA-SOR": "{sa_sor}",
    "MAE": "{mae}",
    "mask AP50": "{mask_ap50}",
}


def main(_):
    """Scores the untrained model, trains, scores again; the numbers come last."""
    platform.configure()
    logging.set_verbosity(logging.WARNING)

    import jax

    from sor_jax.checkpoints.model import start_variables
    from sor_jax.distributed.hosts import duration
    from sor_jax.evaluation.checkpoint import evaluate_checkpoint, evaluate_variables
    from sor_jax.train.loop import train_and_evaluate

    start = time.perf_counter()
    config, workdir = _CONFIG.value, pathlib.Path(_WORKDIR.value)
    untrained = jax.jit(lambda: start_variables(config))()
    results = workdir / "evaluation"
    print("The untrained model:")
    before = evaluate_variables(config, untrained, split="test", out_dir=results / "untrained")
    train_and_evaluate(config, workdir)
    after = evaluate_checkpoint(config, workdir, split="test", out_dir=results / "test")
    print(f"\n{'on scenes never seen in training':46} {'untrained':>14} {'trained':>14}")
    before, after = (
        {key: _text(value) for key, value in metrics.items()} for metrics in (before, after)
    )
    for name, row in _ROWS.items():
        print(f"{name:46} {row.format(**before):>14} {row.format(**after):>14}")
    print(f"\n{duration(time.perf_counter() - start)} in all. Look at the pictures:")
    print(f"  {results / 'test' / 'gallery.png'}   photograph, ground truth, prediction")


def _text(value):
    if value is None:
        return "--"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    commands.run(main)
