"""Where the time to the first ranked photograph goes, without and with a compile cache.

    python -m experiments.first_photograph PHOTOGRAPH [--model lite0] [--runs 5]

Each run is a process of its own; a table of medians in seconds is printed.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

STAGES = (
    "import numpy, Pillow",
    "import jax",
    "import sor_jax.ranker",
    "read the weights, trace or read the program",
    "read the photograph",
    "lower",
    "compile or read from the cache",
    "run",
    "masks",
    "draw",
    "run again, all of it",
)


def main() -> None:
    """Reads the command line, runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photograph")
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(measure(arguments.photograph, arguments.model)))
        return
    with tempfile.TemporaryDirectory() as cache:
        first = [_process(arguments, os.path.join(cache, str(i))) for i in range(arguments.runs)]
        later = [_process(arguments, os.path.join(cache, "0")) for _ in range(arguments.runs)]
    print("| seconds | the first time ever | later processes |\n|---|---|---|")
    for stage in (*STAGES, "whole process"):
        medians = (statistics.median(run[stage] for run in runs) for runs in (first, later))
        print(f"| {stage} | " + " | ".join(f"{median:.2f}" for median in medians) + " |")


def measure(photograph: str, model: str) -> dict[str, float]:
    """Seconds of each stage, in this process."""
    laps = [time.perf_counter()]

    def lap():
        laps.append(time.perf_counter())

    import numpy  # noqa: F401
    from PIL import Image  # noqa: F401

    lap()
    from sor_jax import platform

    platform.configure()
    import jax

    lap()
    from sor_jax import ranker, ranking
    from sor_jax.decode.paste import paste
    from sor_jax.photograph import read_photograph

    lap()
    loaded = ranker.load(model)
    lap()
    image = read_photograph(photograph)
    images = loaded._on_canvas([image])
    lap()
    lowered = loaded._predict.lower(loaded._variables, images)
    lap()
    compiled = lowered.compile()
    lap()
    detections = jax.device_get(compiled(loaded._variables, images))
    lap()
    found = paste(detections, 0, images.valid_hw[0], image.shape[:2])
    made = ranking.ranking_of(found, image, top=5, name="", model=model)
    lap()
    made.draw()
    lap()
    times = [later - earlier for earlier, later in itertools.pairwise(laps)]
    loaded(image)  # fills jax's own table of compiled programs
    start = time.perf_counter()
    loaded(image)
    times.append(time.perf_counter() - start)
    return dict(zip(STAGES, times, strict=True))


def _process(arguments, cache: str) -> dict[str, float]:
    command = [sys.executable, "-m", "experiments.first_photograph", "--once"]
    command += [arguments.photograph, "--model", arguments.model]
    environment = {**os.environ, "XDG_CACHE_HOME": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    took = time.perf_counter() - start
    return {**json.loads(done.stdout.splitlines()[-1]), "whole process": took}


if __name__ == "__main__":
    main()
