"""Our Mask R-CNN-50 beside torchvision's: one run, step by step in turn.

    pip install -r experiments/requirements-torch.txt
    python -m experiments.versus_torch [--hw 480,640] [--out PAGE.md]

Both see the same made-up photographs with random weights, the same foreground proposals in
training and 100 detections (boxes are hardly thinned: random ones would not last), and paste no
masks. Each side and task is a process of its own, whose peak memory is told; one works at a time.
Ours ranks the regions, too. Where other programs were at work meanwhile, the page says so.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

from absl import flags
from ml_collections import config_flags

from experiments.versus_sides import Setting, ours, torchvisions
from sor_jax import commands, platform
from sor_jax.files import write_whole

_HW = flags.DEFINE_list("hw", ["480", "640"], "Height and width of the photographs.")
_TRAIN_BATCH = flags.DEFINE_integer("train_batch", 2, "Images of a training step.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 1, "Images of a prediction.", lower_bound=1)
_FOREGROUND = flags.DEFINE_integer("foreground", 35, "Regions an image in training, at least.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the layers.")
_STEPS = flags.DEFINE_integer("steps", 10, "Timed steps of each side.", lower_bound=1)
_OUT = flags.DEFINE_string("out", "docs/results/versus_torchvision.md", "The page.")
_SIDE = flags.DEFINE_enum("side", None, ["ours", "torchvision"], "Used by the run itself.")
_TASK = flags.DEFINE_enum("task", None, ["predict", "train"], "Used by the run itself.")
_CONFIG = config_flags.DEFINE_config_file("config", "configs/mask_rcnn_r50.py", "Our side.")

_TASKS = {"predict": "prediction", "train": "training step"}
_WARMUP = 2  # steps of each side before the clock starts
_IDLE = 0.05  # share of the cores that others may take
_ORIGINAL = """The paper's original implementation, measured once on two idle cores of an AMD EPYC,
torch 2.14, random weights, 480x640, float32: CenterMask-39 with PPA predicts one image with 50
objects in 0.69 s (1.4 GiB) and takes 4.3 s (3.8 GiB) for a training step of two images with 77
regions; its Mask R-CNN-50 predicts one image with 100 objects in 0.98 s.
"""


def compare(task: str) -> dict[str, dict]:
    """{side: seconds (all timed steps), median, regions an image, bytes, versions} of a task."""
    results, batch = {}, _batch_size(task)
    with _worker("torchvision", task) as theirs, _worker("ours", task) as ours:
        sides, told = {"torchvision": theirs, "ours": ours}, {"torchvision": [], "ours": []}
        for _ in range(_WARMUP + _STEPS.value):
            for side, worker in sides.items():
                told[side].append(_step(worker))
    for side, steps in told.items():
        seconds = [each["seconds"] for each in steps[_WARMUP:]]
        regions = statistics.fmean(each["regions"] for each in steps[_WARMUP:]) / batch
        results[side] = steps[-1] | {"seconds": seconds, "regions": regions}
        results[side]["median"] = statistics.median(seconds)
    return results


@contextlib.contextmanager
def _worker(side, task):
    command = [sys.executable, "-m", "experiments.versus_torch", *sys.argv[1:]]
    command += [f"--side={side}", f"--task={task}"]
    # On a GPU the other side needs room, too.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as worker:
        yield worker


def _step(worker):
    worker.stdin.write("step\n")
    worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise RuntimeError(f"one side ended, with status {worker.wait()}: {' '.join(worker.args)}")


def work(step) -> None:
    """Takes a step for every line on stdin and tells of it."""
    for _ in sys.stdin:
        start = time.perf_counter()
        regions, versions = step()
        told = {"seconds": time.perf_counter() - start, "regions": regions, "versions": versions}
        told["bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(told), flush=True)


def _batch_size(task):
    return _TRAIN_BATCH.value if task == "train" else _BATCH.value


def page(results: dict[str, dict], others: float | None, load: float) -> str:
    """The page of compare's results by task; `others`: share of the cores that other programs took
    meanwhile, None where nobody knows; `load`: the load average before."""
    sides = results["predict"]
    busy = "an unknown share" if others is None else f"{others:.0%}"
    lines = ["# Speed beside torchvision's Mask R-CNN-50", ""]
    if others is None or others > _IDLE or load > 0.5:
        lines += ["**The machine was not idle, so these numbers do not count.**", ""]
    lines += [
        f"`{' '.join(['python -m experiments.versus_torch', *sys.argv[1:]])}`: "
        f"{_HW.value[0]}x{_HW.value[1]}, {_DTYPE.value}, random weights, {os.cpu_count()} cores. "
        f"Other programs took {busy} of the cores, load average before: {load:.2f}. Ours: "
        f"{sides['ours']['versions']}; torchvision: {sides['torchvision']['versions']}, channels "
        f"last. Medians of {_STEPS.value} steps of each, taken in turn; memory is the peak of the "
        "whole process, compiling too. Ours also ranks the regions; neither pastes masks.",
        "",
        "| | ours | torchvision | ours / torchvision | regions an image | memory |",
        "|---|---|---|---|---|---|",
    ]
    for task, found in results.items():
        a, b = found["ours"], found["torchvision"]
        lines.append(
            f"| {_TASKS[task]}, batch {_batch_size(task)} | {_spread(a)} | {_spread(b)} | "
            f"{a['median'] / b['median']:.2f} | {a['regions']:.0f} / {b['regions']:.0f} | "
            f"{a['bytes'] / 2**30:.1f} / {b['bytes'] / 2**30:.1f} GiB |"
        )
    return "\n".join([*lines, "", _ORIGINAL])


def _spread(result):
    seconds = result["seconds"]
    return f"{result['median']:.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


def _busy_seconds():
    """Processor time of the whole machine since it started, of this process and its ended ones."""
    if not os.path.exists("/proc/stat"):
        return None
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft, *_ = (int(x) / os.sysconf("SC_CLK_TCK") for x in fields)
    return user + nice + system + irq + soft, sum(os.times()[:4])


def main(_):
    """Runs both tasks and writes the page; with --side it is one side of one task."""
    if _SIDE.value:
        platform.configure()
        setting = Setting(
            is_training=_TASK.value == "train",
            batch_size=_batch_size(_TASK.value),
            hw=tuple(int(side) for side in _HW.value),
            dtype=_DTYPE.value,
            foreground=_FOREGROUND.value,
        )
        is_ours = _SIDE.value == "ours"
        work(ours(setting, _CONFIG.value) if is_ours else torchvisions(setting))
        return
    if importlib.util.find_spec("torchvision") is None:
        raise RuntimeError("needs torchvision: pip install -r experiments/requirements-torch.txt")
    load, before, start = os.getloadavg()[0], _busy_seconds(), time.perf_counter()
    results = {task: compare(task) for task in _TASKS}
    others, after = None, _busy_seconds()
    if before is not None:
        everything, own = (b - a for a, b in zip(before, after, strict=True))
        others = max(everything - own, 0.0) / (time.perf_counter() - start) / os.cpu_count()
    text = page(results, others, load)
    write_whole(pathlib.Path(_OUT.value), text)
    print(f"{text}\nin {_OUT.value}")


if __name__ == "__main__":
    commands.run(main)
