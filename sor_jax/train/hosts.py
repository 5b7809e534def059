"""What the processes of one run agree on; with a single process nothing is asked of anyone."""

import jax
from jax.experimental import multihost_utils


def is_primary() -> bool:
    """Whether this process is the one that writes files and talks."""
    return jax.process_index() == 0


def say(text: str) -> None:
    """Prints a line, once for all processes."""
    if is_primary():
        print(text, flush=True)


def barrier(name: str) -> None:
    """Waits until every process has come to the place called `name`."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
