"""A run in a process of its own that can be killed, with the real loader and a model of seconds."""

import multiprocessing
import os
import pathlib
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np

from sor_jax.checkpoints.saved import find_checkpoint, read_part, saved_shapes
from sor_jax.inputs.loader import train_iterator
from sor_jax.train.loop import fit
from tests.inputs.fakes import FakeSource
from tests.train import toy

STEPS = 24
HW = (32, 32)


def config():
    return toy.config(steps=STEPS, checkpoint_every=2, eval_every=6, log_every=3)


def init(rng):
    """The toy's parameters, and enough more that saving takes a while."""
    variables = toy.init(rng)
    variables["params"]["ballast"] = {"kernel": jnp.ones((400, 1000))}
    return variables


def objective(params, frozen, batch, rng):
    """The toy's, with a number that tells which images came, and in which order."""
    total, scalars = toy.objective(params, frozen, batch, rng)
    ids = batch.image[:, 0, 0, 0].astype(jnp.float32)
    order = (ids * 17.0 ** jnp.arange(len(ids))).sum()
    ballast = (params["ballast"]["kernel"] ** 2).mean() * batch.image.mean()
    return total + 1e-6 * ballast, {**scalars, "data/order": order}


def train(workdir):
    batches = train_iterator(
        FakeSource(11, unranked=(3,)),
        canvas_hw=HW,
        batch_size=4,
        max_objects=toy.OBJECTS,
        seed=3,
        flip=True,
        num_workers=1,
    )
    parts = {"init": init, "objective": objective, "train_batches": batches}
    fit(toy.experiment(**parts), config(), workdir)


def start(workdir: pathlib.Path) -> multiprocessing.Process:
    """`train` in a process forked from one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=train, args=(workdir,))
    process.start()
    return process


def kill(process) -> None:
    """kill -9, whatever it does; its reader processes have to end, too."""
    readers = _children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 30
    while any(map(_runs, readers)):
        assert time.monotonic() < deadline, f"{readers} outlive their parent"
        time.sleep(0.01)


def _children(pid: int) -> list[int]:
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _runs(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, is_running, *, seconds=120.0):
    """Waits for a condition, looking every millisecond; False where the process ended before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if not is_running():
            return False
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.001)
    return True


def half_written(workdir) -> bool:
    """Whether a checkpoint is being written right now."""
    folder = workdir / "checkpoints"
    return folder.is_dir() and any("tmp" in name for name in os.listdir(folder))


def lines(workdir) -> int:
    path = workdir / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def arrays(workdir) -> dict[str, np.ndarray]:
    """The last saved state."""
    folder = find_checkpoint(workdir, prefer="last")
    assert folder.name == str(STEPS)
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return read_part(folder, jax.tree.map(lambda x: x.update(sharding=here), saved_shapes(folder)))
