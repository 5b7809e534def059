"""Seconds an image: prediction by jax beside the exported file by onnxruntime, in turn.

    python -m experiments.onnx_speed [MODEL ..] [--threads 1,2] [--seconds 60] [--onnx FILE ..]

MODEL is what `sor-jax rank --model` takes, or a config of configs/ (mask_rcnn_r50), whose weights
are then made up. All of them see one drawn scene, a batch of one. --onnx adds files that others
wrote, as torch.onnx.export does of torchvision's detectors: their one input is f32[3, H, W].
"""

import argparse
import functools
import importlib
import statistics
import time

import jax
import numpy as np
import onnxruntime

from sor_jax import platform, pretrained
from sor_jax.build import build_model, build_predict, init_variables
from sor_jax.checkpoints.model import read_model
from sor_jax.datasets.scenes.draw import draw
from sor_jax.export.onnx_file import to_onnx
from sor_jax.export.program import build_program
from sor_jax.structures import Images

CANVAS_HW = (256, 320)


def main() -> None:
    """Reads the command line, runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=[pretrained.DEFAULT])
    parser.add_argument("--threads", default="1,2", help="of onnxruntime")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--onnx", nargs="*", default=[], metavar="FILE")
    arguments = parser.parse_args()
    platform.configure()
    threads = [int(number) for number in arguments.threads.split(",")]
    image = draw(7, "test", 0, image_hw=CANVAS_HW).image
    runs = {}
    for model in arguments.models:
        runs |= of_model(model, image, threads)
    for path in arguments.onnx:
        with open(path, "rb") as file:
            encoded = file.read()
        planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255
        for count in threads:
            runs[f"{path}, onnxruntime, {count} threads"] = session(encoded, count, [planes])
    for name, seconds in measure(runs, arguments.seconds).items():
        middle, least = statistics.median(seconds), min(seconds)
        print(f"{name}: median {middle:.3f} s, least {least:.3f} s, {len(seconds)} runs")


def of_model(name: str, image, threads) -> dict:
    """{what it is: a run} of prediction by jax, and of the exported file with so many threads."""
    variables, config = variables_of(name)
    config.data.canvas_hw = CANVAS_HW
    inputs = image[None], np.array([CANVAS_HW], np.int32)
    predict = jax.jit(build_predict(config, build_model(config)))
    images, variables = Images(*inputs, np.ones(1, bool)), jax.device_put(variables)
    runs = {f"{name}, jax": lambda: jax.device_get(predict(variables, images))}
    encoded = to_onnx(build_program(variables, config))
    found = runs[f"{name}, jax"]()
    print(f"{name}: {len(encoded) / 1e6:.1f} MB, {int(found.boxes.valid.sum())} objects")
    for count in threads:
        runs[f"{name}, onnxruntime, {count} threads"] = session(encoded, count, inputs)
    return runs


def variables_of(name: str):
    """Variables and config of a model, or of a config with weights that are made up."""
    try:
        module = importlib.import_module(f"configs.{name}")
    except ImportError:
        model = read_model(name)
        return model.variables, model.config
    config = module.get_config().copy_and_resolve_references()
    return init_variables(build_model(config), jax.random.key(0)), config


def session(encoded: bytes, threads: int, inputs):
    """A run of an ONNX file on the inputs, in their order."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    opened = onnxruntime.InferenceSession(encoded, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in opened.get_inputs()]
    return functools.partial(opened.run, None, dict(zip(names, inputs, strict=True)))


def measure(runs: dict, seconds: float) -> dict[str, list[float]]:
    """Seconds of each run, one after the other in turn, until the time is over."""
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return times


if __name__ == "__main__":
    main()
