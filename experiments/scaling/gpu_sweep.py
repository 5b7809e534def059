"""Speed and memory of training and prediction over batch sizes and dtypes, on one device.

    python -m experiments.scaling.gpu_sweep --config configs/centermask_vov39.py \
        --batches 1,2,4,8,16 --dtypes float32,bfloat16 --minutes 9

Each point is measured in a process of its own, so that running out of memory ends that one alone.
Table, plot and numbers are written after each, named after config and device; the same command goes
on with the points that are missing. It takes neither a data set nor the packages that read one.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

from absl import app, flags

from experiments.scaling.report import FLOPS, OUT_OF_MEMORY, file_stem, markdown, plot, short_error
from sor_jax.files import write_json, write_png, write_whole

_CONFIG = flags.DEFINE_string("config", None, "The model, a file of configs/.")
_BATCHES = flags.DEFINE_list("batches", ["1", "2", "4", "8", "16"], "Numbers of images.")
_DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "What the network computes in.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps and predictions that are measured.")
_MINUTES = flags.DEFINE_float("minutes", 60.0, "No point begins or goes on after so long.")
_OUT = flags.DEFINE_string("out", "docs/results", "Folder of the results.")

_FEWEST_SECONDS = 15  # that a point is begun for
_NO_TIME = "not measured: out of time"
_DEVICE = "import jax; print(jax.__version__, jax.devices()[0].device_kind)"


def _milli(value):
    return f"{value * 1e3:.1f}"


def _giga(digits):
    return lambda value: f"{value / 1e9:.{digits}f}"


_COLUMNS = (
    ("batch", "batch", str),
    ("dtype", "dtype", str),
    ("images_per_second", "training, images/s", "{:.1f}".format),
    ("step_seconds", "step, ms", _milli),
    ("peak_bytes", "peak memory, GB", _giga(1)),
    ("flops", "GFLOP a step", _giga(0)),
    ("share", "share of the peak", "{:.1%}".format),
    ("compile_seconds", "compiling, s", "{:.0f}".format),
    ("predict_images_per_second", "prediction, images/s", "{:.1f}".format),
    ("predict_seconds", "prediction, ms", _milli),
    ("predict_compile_seconds", "its compiling, s", "{:.0f}".format),
)
_PANELS = (
    ("images_per_second", "training, images/s"),
    ("predict_images_per_second", "prediction, images/s"),
)
_NOTE = (
    "One device, and one made-up batch that stays on it: no reading, no copying. Training is the "
    "whole step with its update; beside the 1 to 5 objects of an image 35 foreground regions reach "
    "the heads, as a trained detector proposes. Prediction has as many detections as an image may "
    f"have. Times are medians. {FLOPS}"
)


def measured(batch: int, dtype: str, overrides: list[str], seconds: float) -> dict:
    """One point, given so long; what it told before it failed, and its "error"."""
    point = {"batch": batch, "dtype": dtype, "overrides": overrides}
    if seconds < _FEWEST_SECONDS:
        return point | {"error": _NO_TIME}
    command = [sys.executable, "-m", "experiments.scaling.gpu_point", f"--config={_CONFIG.value}"]
    command += [*overrides, f"--config.train.dtype={dtype}"]
    command += [f"--batch={batch}", f"--steps={_STEPS.value}"]
    # jax takes 75 % of a GPU unless told; a cache would hide how long compiling takes.
    environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.93"} | os.environ
    environment |= {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds
        )
        output, error = ended.stdout, short_error(ended.stderr) if ended.returncode else None
    except subprocess.TimeoutExpired as late:
        output, error = (late.stdout or b"").decode(), _NO_TIME
    told = [line for line in output.splitlines() if line.startswith("{")]
    return point | json.loads(told[-1] if told else "{}") | ({"error": error} if error else {})


def is_final(result: dict) -> bool:
    """Whether another try would say the same."""
    return result.get("error", OUT_OF_MEMORY) == OUT_OF_MEMORY


def read(path: pathlib.Path, overrides: list[str]) -> dict[tuple[int, str], dict]:
    """The final points of an earlier start with the same fields of the config."""
    results = json.loads(path.read_text()) if path.exists() else []
    kept = [each for each in results if is_final(each) and each["overrides"] == overrides]
    return {(each["batch"], each["dtype"]): each for each in kept}


def write(out: pathlib.Path, title: str, results: list[dict]) -> None:
    """Table, plot and numbers."""
    results = sorted(results, key=lambda each: (each["dtype"] != "float32", each["batch"]))
    text = markdown(title, results, is_simulated=False, columns=_COLUMNS, note=_NOTE)
    good = [each | {"devices": 1} for each in results if "images_per_second" in each]
    if good:
        picture = plot(title, good, is_simulated=False, panels=_PANELS)
        write_png(out.with_suffix(".png"), picture)
        text += f"\n![images a second]({out.stem}.png)\n"
    write_whole(out.with_suffix(".md"), text)
    write_json(out.with_suffix(".json"), results)


def main(argv):
    """Measures the points that are missing, one after the other."""
    if len(argv) > 1:
        raise app.UsageError(f"not a flag: {' '.join(argv[1:])}")
    end = time.monotonic() + 60 * _MINUTES.value
    asked = subprocess.run([sys.executable, "-c", _DEVICE], capture_output=True, text=True)
    if asked.returncode:
        sys.exit(f"jax finds no device:\n{asked.stderr}")
    version, device = asked.stdout.strip().split(" ", 1)
    config = pathlib.Path(_CONFIG.value).stem
    title = " ".join([f"Speed of {config} on one {device}, jax {version}", *_overrides])
    name = file_stem("speed", config, device)
    out = pathlib.Path(_OUT.value) / name
    results = read(out.with_suffix(".json"), _overrides)
    for batch, dtype in [(int(b), dtype) for b in _BATCHES.value for dtype in _DTYPES.value]:
        if (batch, dtype) in results:
            continue
        start = time.monotonic()
        results[batch, dtype] = last = measured(batch, dtype, _overrides, end - start)
        write(out, title, list(results.values()))
        speeds = ("images_per_second", "predict_images_per_second")
        said = ", ".join(f"{last[key]:.1f} {key}" for key in speeds if key in last)
        took = f"{time.monotonic() - start:.0f} s"
        print(f"batch {batch}, {dtype}: {said} {last.get('error', '')} ({took})", flush=True)
    print(f"\n{out.with_suffix('.md').read_text()}", flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    # Fields of the config are for the points, which alone read it.
    _overrides = [word for word in sys.argv[1:] if word.startswith("--config.")]
    app.run(main, argv=[word for word in sys.argv if word not in _overrides])
