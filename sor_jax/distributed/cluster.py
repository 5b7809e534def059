"""Joins the processes of one run, on as many hosts, before jax is first used."""

import contextlib
import glob
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from absl import flags

from sor_jax.commands import is_mendable, print_error

# Seconds without a sign of life after which a process counts as dead and the others end.
HEARTBEAT = 40
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def flags_to_join() -> Callable[[], bool]:
    """Defines --coordinator, --num_processes and --process_id; what it returns joins by them."""
    coordinator = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, if several.")
    num_processes = flags.DEFINE_integer("num_processes", None, "How many processes run together.")
    process_id = flags.DEFINE_integer("process_id", None, "Which of them this is, from 0.")
    return lambda: join(coordinator.value, num_processes.value, process_id.value)


def join(
    coordinator: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> bool:
    """Makes this process one of several, where arguments or the environment say that it is.

    What no argument gives is taken from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID. With none of them, Slurm, Open MPI, TPU pods and indexed Kubernetes jobs are
    recognised by what they set; anything else runs alone.

    Args:
      coordinator: HOST:PORT of process 0, any free port.
      num_processes: how many there are.
      process_id: which one this is, from 0.

    Returns:
      Whether it joined others.
    """
    import jax

    given = (coordinator, num_processes, process_id)
    named = {
        name: os.environ.get(name) if x is None else x
        for name, x in zip(VARIABLES, given, strict=True)
    }
    told = {name: x for name, x in named.items() if x is not None}
    if len(told) == len(VARIABLES):
        address, count, index = told.values()
        _initialize(address, int(count), int(index), cluster_detection_method="deactivate")
    elif told:
        missing = [name for name in VARIABLES if name not in told]
        raise ValueError(
            f"one of several processes, but {', '.join(missing)} unset: give --coordinator, "
            "--num_processes and --process_id, or all three variables"
        )
    elif is_cluster():
        _initialize(None, None, None)
    else:
        return False
    return jax.process_count() > 1


def is_cluster() -> bool:
    """Whether the environment is that of one process among several, on a cluster known to jax."""
    several = {"SLURM_NTASKS": "SLURM_PROCID", "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK"}
    for count, index in several.items():
        if index in os.environ and int(os.environ.get(count, 1)) > 1:
            return True
    if "KUBERNETES_SERVICE_HOST" in os.environ and "JOB_COMPLETION_INDEX" in os.environ:
        return True
    has_tpu = bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))
    return has_tpu and importlib.util.find_spec("libtpu") is not None


@contextlib.contextmanager
def ends_with_error() -> Iterator[None]:
    """Ends this process at once where an error leaves the block, if it is one of several.

    Python's way out waits for the others, and they wait for this one's next step.
    """
    import jax

    try:
        yield
    except BaseException as error:
        if jax.process_count() > 1:
            if is_mendable(error) and not ("debug" in flags.FLAGS and flags.FLAGS.debug):
                print_error(error)
            else:
                traceback.print_exc()
            print(
                f"process {jax.process_index()} of {jax.process_count()} ends with an error, its "
                "own or that another one is gone; the same command on all hosts goes on from the "
                "last checkpoint",
                file=sys.stderr,
            )
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
        raise


def _initialize(coordinator, num_processes, process_id, **options):
    import jax

    # The loop has a rule of its own for signals; jax's service would take SIGTERM away from it.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            heartbeat_timeout_seconds=HEARTBEAT,
            shutdown_timeout_seconds=HEARTBEAT,
            **options,
        )
    except (ValueError, RuntimeError) as error:
        raise RuntimeError(
            f"the processes of this run did not find each other: {error}. Coordinator "
            f"{coordinator}, process {process_id} of {num_processes}; all must give the same "
            "coordinator and number, each its own index"
        ) from error
