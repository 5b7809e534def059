"""Scenes as stored examples, drawn by as many processes as there are cores.

The processes are plain children that run `serve`, so a script that asks for scenes needs no
`if __name__ == "__main__"` and is not imported again in each of them.
"""

import contextlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from PIL import Image

from sor_jax.datasets.masks import encode_masks, rle_as_json
from sor_jax.datasets.scenes.draw import Scene, draw

_ALONE = 64  # fewer scenes than this are drawn here: processes take a second to start


def example(seed: int, split: str, index: int, image_hw: tuple[int, int]) -> dict:
    """One scene with the fields of datasets.features; pictures as PNG, so nothing is lost."""
    scene = draw(seed, split, index, image_hw=image_hw)
    rles = encode_masks(scene.masks)
    return {
        "image_id": f"{split}_{index:06d}",
        "image": _png(scene.image),
        "grey": _png(_grey(scene)),
        "objects": [
            {
                "bbox": box,
                "rank_order": rank,
                "segmentation": json.dumps(rle_as_json(rle)),
            }
            for box, rank, rle in zip(scene.boxes, scene.rank_order, rles, strict=True)
        ],
    }


def examples(seed: int, split: str, count: int, image_hw: tuple[int, int]) -> Iterator[dict]:
    """The first `count` examples of a split, in order."""
    num_workers = min(os.cpu_count() or 1, 16) if count >= _ALONE else 1
    if num_workers == 1:
        yield from (example(seed, split, index, image_hw) for index in range(count))
        return
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(_worker(seed, split, range(first, count, num_workers), image_hw))
            for first in range(num_workers)
        ]
        for index in range(count):
            yield _next_of(workers[index % num_workers])


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _grey(scene: Scene):
    """u8[h, w]: int(255 * rank_order) where an object is seen, 0 elsewhere."""
    values = (255 * np.rint(10 * scene.rank_order).astype(int) // 10).astype(np.uint8)
    return (scene.masks * values[:, None, None]).max(axis=0)


@contextlib.contextmanager
def _worker(seed, split, indices, image_hw):
    """A process that draws the scenes of these indices; it ends with the block."""
    task = json.dumps([seed, split, [indices.start, indices.stop, indices.step], list(image_hw)])
    process = subprocess.Popen(
        [sys.executable, "-c", "from sor_jax.datasets.scenes.encode import serve; serve()", task],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def _next_of(process):
    try:
        return pickle.load(process.stdout)
    except EOFError:
        raise RuntimeError("a process that draws scenes ended early; its error is above") from None


def serve() -> None:
    """In a child: writes the examples that the argument asks for, pickled, to standard output."""
    seed, split, indices, image_hw = json.loads(sys.argv[1])
    for index in range(*indices):
        pickle.dump(example(seed, split, index, tuple(image_hw)), sys.stdout.buffer)
