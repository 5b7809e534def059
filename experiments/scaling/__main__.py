"""How training scales: a table and a plot of a few steps on one device, on two, on four.

    python -m experiments.scaling --config configs/demo.py --devices 1,2,4 --batch-per-device 2

On a machine without accelerators the devices are simulated, and only the machinery is checked.
docs/scaling.md tells more.
"""

import json
import os
import pathlib
import subprocess
import sys

from absl import app, flags

from experiments.scaling.plan import Point, points, with_efficiency
from experiments.scaling.report import SIMULATED, file_stem, markdown, plot, short_error
from sor_jax.files import write_json, write_png, write_whole

_DEVICES = flags.DEFINE_list("devices", ["1"], "Numbers of devices, separated by commas.")
_BATCHES = flags.DEFINE_list("batch-per-device", ["2"], "Images a device, one or more numbers.")
_DTYPES = flags.DEFINE_list("dtypes", ["float32"], "float32, bfloat16 or both.")
_WARMUP = flags.DEFINE_integer("warmup", 2, "Steps before the clock starts.")
_STEPS = flags.DEFINE_integer("steps", 10, "Steps that are measured.")
_OUT = flags.DEFINE_string("out", "runs/scaling", "Folder of the table, the plot and the numbers.")
_CONFIG = flags.DEFINE_string("config", None, "The experiment, a file of configs/.")
_TIMEOUT = 3600


def measured(point: Point, overrides: list[str]) -> dict:
    """The result of one measurement, or its "error"."""
    command = [
        *(sys.executable, "-m", "experiments.scaling.measure", f"--config={_CONFIG.value}"),
        *overrides,
        f"--config.train.dtype={point.dtype}",
        f"--devices={point.devices}",
        f"--batch={point.batch}",
        f"--warmup={_WARMUP.value}",
        f"--steps={_STEPS.value}",
    ]
    flag = f"--xla_force_host_platform_device_count={point.devices}"  # only CPUs heed it
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT
    )
    if ended.returncode == 0:
        return vars(point) | json.loads(ended.stdout.splitlines()[-1])
    return vars(point) | {"error": short_error(ended.stderr)}


def write(results: list[dict], out: pathlib.Path, config: str) -> pathlib.Path:
    """Writes table, plot and numbers, named after config and device; returns the table's place."""
    good = [result for result in results if "error" not in result]
    device = good[0]["device"] if good else "no device"
    is_simulated = bool(good) and good[0]["platform"] == "cpu"
    title = f"Scaling of {config} on {'simulated ' if is_simulated else ''}{device}"
    name = file_stem(config, device)
    text = markdown(title, results, is_simulated=is_simulated)
    if good:
        write_png(out / f"{name}.png", plot(title, results, is_simulated=is_simulated))
        text += f"\n![images a second]({name}.png)\n"
    write_whole(out / f"{name}.md", text)
    write_json(out / f"{name}.json", results)
    print(f"\n{text}", flush=True)
    return out / f"{name}.md"


def main(argv):
    """Takes every measurement in a process of its own."""
    if len(argv) > 1:
        raise app.UsageError(f"not a flag: {' '.join(argv[1:])}")
    devices, batches = ([int(x) for x in flag.value] for flag in (_DEVICES, _BATCHES))
    results = []
    for point in points(devices, batches, _DTYPES.value):
        results.append(measured(point, _overrides))
        last = results[-1]
        said = last.get("error") or f"{last['images_per_second']:.2f} images/s"
        if last.get("platform") == "cpu" and len(results) == 1:
            print(SIMULATED, flush=True)
        print(f"{point.scaling}, {point.devices} devices, batch {point.batch}: {said}", flush=True)
    path = write(
        with_efficiency(results), pathlib.Path(_OUT.value), pathlib.Path(_CONFIG.value).stem
    )
    print(f"in {path.parent}: {path.name}, the plot and the numbers", flush=True)
    if all("error" in result for result in results):
        sys.exit(1)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    # Fields of the config are for the measurements, which alone read it.
    _overrides = [word for word in sys.argv[1:] if word.startswith("--config.")]
    app.run(main, argv=[word for word in sys.argv if word not in _overrides])
