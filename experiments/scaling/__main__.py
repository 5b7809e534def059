"""Speed and memory: tables and plots of a few steps over devices, batch sizes and dtypes.

    python -m experiments.scaling --config configs/demo.py --devices 1,2,4 --batch-per-device 2
    python -m experiments.scaling --config configs/centermask_vov39.py --batches 1,2,4,8,16 \
        --dtypes float32,bfloat16 --minutes 9

The first trains on the config's data set, as the loop does, on one device, on two, on four. The
second trains and predicts on one device a made-up batch that stays on it, with as many foreground
regions as a trained detector gives. Each point is measured in a process of its own; table, plot and
numbers are written after each, and the same command goes on with those that are missing.
docs/scaling.md tells more.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

from absl import flags

from experiments.scaling import report
from experiments.scaling.plan import Point, points, with_efficiency
from sor_jax import commands
from sor_jax.files import write_json, write_whole

_CONFIG = flags.DEFINE_string("config", None, "The experiment, a file of configs/.")
_DEVICES = flags.DEFINE_list("devices", ["1"], "Numbers of devices, separated by commas.")
_EACH = flags.DEFINE_list("batch-per-device", ["2"], "Images a device, one or more numbers.")
_BATCHES = flags.DEFINE_list("batches", [], "Batch sizes on one device, in place of the two above.")
_DTYPES = flags.DEFINE_list("dtypes", ["float32"], "float32, bfloat16 or both.")
_WARMUP = flags.DEFINE_integer("warmup", 2, "Steps before the clock starts.")
_STEPS = flags.DEFINE_integer("steps", 10, "Steps, and predictions, that are measured.")
_DATA = flags.DEFINE_enum(
    "data", "made_up", ["made_up", "first"], "With --batches: or the data set's first batch."
)
_FOREGROUND = flags.DEFINE_integer("foreground", 35, "With --batches: regions an image, or 0.")
_MINUTES = flags.DEFINE_float("minutes", 600.0, "No point begins or goes on after so long.")
_OUT = flags.DEFINE_string("out", "runs/scaling", "Folder of the tables, plots and numbers.")

_FEWEST_SECONDS = 15  # that a point is begun for
_NO_TIME = "not measured: out of time"
_DEVICE = "import jax; d = jax.devices()[0]; print(jax.__version__, d.platform, d.device_kind)"


def measured(point: Point, words: list[str], seconds: float) -> dict:
    """A point, given so long: what it told before it failed, and its "error"."""
    result = vars(point) | {"overrides": words}
    if seconds < _FEWEST_SECONDS:
        return result | {"error": _NO_TIME}
    command = [sys.executable, "-m", "experiments.scaling.point", f"--config={_CONFIG.value}"]
    command += [*words, f"--config.train.dtype={point.dtype}", f"--devices={point.devices}"]
    command += [f"--batch={point.batch}", f"--warmup={_WARMUP.value}", f"--steps={_STEPS.value}"]
    # jax takes 75 % of a GPU unless told; a cache would hide how long compiling takes.
    environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.93"} | os.environ
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    flag = f"--xla_force_host_platform_device_count={point.devices}"  # only CPUs heed it
    environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds
        )
        output, error = ended.stdout, report.short_error(ended.stderr) if ended.returncode else None
    except subprocess.TimeoutExpired as late:
        output, error = (late.stdout or b"").decode(), _NO_TIME
    told = [line for line in output.splitlines() if line.startswith("{")]
    return result | json.loads(told[-1] if told else "{}") | ({"error": error} if error else {})


def kept(path: pathlib.Path, words: list[str]) -> dict[Point, dict]:
    """What an earlier start measured with the same words; not what ended for another reason than
    memory, as another try may go well."""
    results = json.loads(path.read_text()) if path.exists() else []
    return {
        Point(r.get("scaling", "weak"), r.get("devices", 1), r["batch"], r["dtype"]): r
        for r in results
        if r.get("error", report.OUT_OF_MEMORY) == report.OUT_OF_MEMORY and r["overrides"] == words
    }


def write(out: pathlib.Path, title: str, results: list[dict], kind: report.Kind) -> None:
    """Table, plot and numbers; no plot where matplotlib is missing."""
    results = with_efficiency(results)
    text = report.markdown(title, results, kind)
    try:
        from experiments.plots import write_figure
    except ModuleNotFoundError as missing:
        print(f"no plot: {missing.name} is missing", flush=True)
    else:
        write_figure(out.with_suffix(".png"), report.plot(title, results, kind))
        text += f"\n![images a second]({out.name}.png)\n"
    write_whole(out.with_suffix(".md"), text)
    write_json(out.with_suffix(".json"), results)


def main(argv):
    """Measures the points that are missing, one after the other."""
    del argv
    end = time.monotonic() + 60 * _MINUTES.value
    asked = subprocess.run([sys.executable, "-c", _DEVICE], capture_output=True, text=True)
    if asked.returncode:
        sys.exit(f"jax finds no device:\n{asked.stderr}")
    version, platform, device = asked.stdout.strip().split(" ", 2)
    config, words = pathlib.Path(_CONFIG.value).stem, list(_overrides)
    if _BATCHES.value:
        kind, name = report.ONE_DEVICE, report.file_stem("speed", config, device)
        title = " ".join([f"Speed of {config} on one {device}, jax {version}", *words])
        words += [f"--data={_DATA.value}", f"--foreground={_FOREGROUND.value}", "--predict"]
        asked = points([1], [int(n) for n in _BATCHES.value], _DTYPES.value)
    else:
        kind = report.SIMULATED if platform == "cpu" else report.DEVICES
        name = report.file_stem(config, device)
        title = f"Scaling of {config} on {'simulated ' if kind.warning else ''}{device}"
        asked = points(*([int(n) for n in flag.value] for flag in (_DEVICES, _EACH)), _DTYPES.value)
    out = pathlib.Path(_OUT.value) / name
    results = kept(out.with_suffix(".json"), words)
    if kind.warning:
        print(kind.warning, flush=True)
    for point in asked:
        if point in results:
            continue
        start = time.monotonic()
        results[point] = last = measured(point, words, end - start)
        done = [results[each] for each in dict.fromkeys([*asked, *results]) if each in results]
        write(out, title, done, kind)
        speeds = ("images_per_second", "predict_images_per_second")
        said = ", ".join(f"{last[key]:.2f} {key}" for key in speeds if key in last)
        told = f"{said} {last.get('error', '')} ({time.monotonic() - start:.0f} s)"
        print(f"{point.describe()}: {told}", flush=True)
    print(f"\n{out.with_suffix('.md').read_text()}\nin {out.parent}", flush=True)
    if all("error" in result for result in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    # Fields of the config are for the points, which alone read it.
    _overrides = [word for word in sys.argv[1:] if word.startswith("--config.")]
    commands.run(main, argv=[word for word in sys.argv if word not in _overrides])
