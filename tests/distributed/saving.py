"""One of two processes that save until a file WORKDIR/stop is there: WORKDIR ADDRESS INDEX."""

import pathlib
import sys

import jax
import jax.numpy as jnp

from sor_jax.checkpoints.checkpoint import Checkpoints
from sor_jax.checkpoints.saved import open_checkpoint
from sor_jax.distributed import cluster
from sor_jax.distributed.hosts import as_primary_says, barrier, is_primary, say
from sor_jax.distributed.sharding import make_mesh, replicated


class Position:
    """Stands for the data's."""

    def get_state(self):
        return 0


def main():
    workdir, address, index = sys.argv[1:]
    cluster.join(address, 2, int(index))
    with cluster.ends_with_error():
        checkpoints, step = Checkpoints(workdir, best_metric="sor"), 0
        zeros = jax.jit(lambda: jnp.zeros(1000), out_shardings=replicated(make_mesh()))
        while not as_primary_says((pathlib.Path(workdir) / "stop").exists()):
            step += 1
            checkpoints.save(step, {"params": {"w": zeros()}}, Position())
            say(f"saved {step}")
        if is_primary():
            checkpoints.note_score(step - 1, 1.0)
        barrier("best is known")
        with open_checkpoint(workdir, prefer="best" if is_primary() else "last") as folder:
            print("found", folder.name, flush=True)
        try:
            with open_checkpoint(workdir if index == "1" else f"{workdir}/none"):
                print("found what is not there")
        except FileNotFoundError:
            print("both are told", flush=True)
        checkpoints.close()


if __name__ == "__main__":
    main()
