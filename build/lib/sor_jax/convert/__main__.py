"""Brings checkpoints of others in, and ours out. PyTorch is not needed; nothing is downloaded.

    python -m sor_jax.convert CHECKPOINT --config configs/reference/centermask.py --out DIR
    python -m sor_jax.convert DIR --config CONFIG --out FILE.npz --to torch

docs/weights.md tells what can be read, and under which licences.
"""

import os

from absl import flags, logging
from ml_collections import config_flags

from sor_jax import commands

_CONFIG = config_flags.DEFINE_config_file("config", None, "Describes the model.")
_OUT = flags.DEFINE_string("out", None, "What is written: a folder, or an .npz with --to torch.")
_ALLOW = flags.DEFINE_multi_string(
    "allow-missing",
    [],
    "Arrays that may start afresh where the file lacks them or has another shape, by our names: "
    "'ranking,iou/fc*'. Can be given several times.",
)
_PREFER = flags.DEFINE_string(
    "prefer",
    "",
    "Of several weights in one file, those under a name with this word: 'ema'. Without it those "
    "that are no running average.",
)
_TO = flags.DEFINE_enum("to", "jax", ["jax", "torch"], "Whose names and layouts are written.")
flags.mark_flags_as_required(["config", "out"])


def main(argv):
    """Hands the flags to the conversion."""
    if len(argv) != 2:
        raise ValueError(f"expected one CHECKPOINT, found {len(argv) - 1}: {argv[1:]}")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # there is nothing to compute
    logging.set_verbosity(logging.ERROR)

    from sor_jax.convert.conversion import convert, export

    if _TO.value == "torch":
        export(argv[1], _CONFIG.value, _OUT.value)
    else:
        convert(
            argv[1],
            _CONFIG.value,
            _OUT.value,
            allow_missing=_ALLOW.value,
            prefer=_PREFER.value,
        )


if __name__ == "__main__":
    commands.run(main, takes_words=True)
