"""One point of gpu_sweep: training and prediction at one batch size and dtype.

    python -m experiments.scaling.gpu_point --config configs/centermask_vov39.py --batch 4

Prints what it knows as a line of JSON after training, and again with the prediction.
"""

import json

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform

_CONFIG = config_flags.DEFINE_config_file("config", None, "The model.")
_BATCH = flags.DEFINE_integer("batch", 1, "Images.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps and predictions that are measured.")
_FOREGROUND = flags.DEFINE_integer("foreground", 35, "Proposals an image that hit an object.")


def main(_):
    """Measures and prints."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.scaling.speed import Speed

    speed = Speed(
        _CONFIG.value,
        batch_size=_BATCH.value,
        steps=_STEPS.value,
        foreground=_FOREGROUND.value,
    )
    result = speed.train()
    print(json.dumps(result), flush=True)
    print(json.dumps(result | speed.predict()), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
