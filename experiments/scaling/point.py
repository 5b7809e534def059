"""One measurement of `python -m experiments.scaling`, in a process of its own.

A device reports the peak of its memory since the process began, and running out of memory must not
end the measurements that follow. Prints the result as a line of JSON after training, and again with
the prediction.
"""

import json

from absl import app, flags, logging
from ml_collections import config_flags

from sor_jax import platform

_CONFIG = config_flags.DEFINE_config_file("config", None, "The model.")
_DEVICES = flags.DEFINE_integer("devices", 1, "How many devices.")
_BATCH = flags.DEFINE_integer("batch", 1, "Images of a batch over all devices.")
_WARMUP = flags.DEFINE_integer("warmup", 2, "Steps before the clock starts.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps and predictions that are measured.")
_DATA = flags.DEFINE_string("data", "all", "As of Timer.")
_FOREGROUND = flags.DEFINE_integer("foreground", 0, "As of Timer.")
_PREDICT = flags.DEFINE_bool("predict", False, "Time the prediction, too.")


def main(_):
    """Measures and prints."""
    platform.configure()
    logging.set_verbosity(logging.ERROR)

    from experiments.timer import Timer

    timer = Timer(
        _CONFIG.value,
        batch_size=_BATCH.value,
        num_devices=_DEVICES.value,
        data=_DATA.value,
        foreground=_FOREGROUND.value,
    )
    result = timer.train(_STEPS.value, _WARMUP.value)
    print(json.dumps(result), flush=True)
    if _PREDICT.value:
        print(json.dumps(result | timer.predict(_STEPS.value, _WARMUP.value)), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main)
