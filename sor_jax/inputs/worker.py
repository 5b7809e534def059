"""Set-up of reader processes: they end with the process that started them."""

import multiprocessing
import os
import shutil
import signal
import threading
from multiprocessing import resource_tracker

SHARED_MEMORY = "/dev/shm"


def prepare_worker(index: int, count: int) -> None:
    """Called in each reader process before it reads.

    It ends with its parent, even where that is killed: nobody would stop it, and its shared memory
    would never be freed. SIGINT, SIGTERM and SIGHUP, which a terminal or a cluster sends to all
    processes of a run, are the parent's to answer: it still needs the batches of its last step.
    """
    del index, count
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(
        target=_end_with, args=(multiprocessing.parent_process(),), daemon=True
    ).start()


def _end_with(parent) -> None:
    parent.join()
    os._exit(1)


def start_tracker() -> None:
    """Starts the process that keeps Python's list of shared memory where it does not run.

    Python lets it outlive SIGINT and SIGTERM; by this one it outlives SIGHUP, too.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check_shared_memory(num_workers: int, needed: int) -> None:
    """Raises OSError where /dev/shm cannot hold the `needed` bytes of batches that are read ahead.

    A worker that writes beyond its end is killed by the system without a word. Where there is no
    such folder, nothing is checked.
    """
    if not os.path.isdir(SHARED_MEMORY):
        return
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < needed:
        raise OSError(
            f"config.data.num_workers is {num_workers}: their batches take {needed / 1e6:,.0f} MB "
            f"of {SHARED_MEMORY}, which has {free / 1e6:,.0f} MB free. Lower it (0 reads in this "
            "process), or enlarge it (docker run --shm-size=2g)"
        )


def describe_death(error: RuntimeError) -> RuntimeError:
    """The error to raise where a reader process ended by itself; others come back as they are."""
    if "terminated unexpectedly" not in str(error):
        return error
    code = str(error).split("exit code ")[-1].split(".")[0]
    return RuntimeError(
        f"a process that reads training data ended with exit code {code} (-9: it was killed, often "
        "because memory ran out). The same command goes on from the last checkpoint; fewer "
        "config.data.num_workers take less memory, and 0 reads in this process"
    )
