"""Which checkpoints of a run stay: the last two, the best, and those that somebody reads."""

import contextlib
import fcntl
import pathlib
import shutil
from collections.abc import Iterator

from sor_jax.checkpoints.best import BestScore
from sor_jax.distributed.hosts import from_all, is_primary

FILES = "files.json"  # the list of a checkpoint's files, which readers lock
GOING = ".going"  # behind the name of a checkpoint that will be deleted: it is none any more


@contextlib.contextmanager
def held(folder: pathlib.Path) -> Iterator[bool]:
    """Within the block no run deletes the checkpoint, if it still is there at the beginning.

    Yields whether that could be had: not without a list of files, nor without locks on files.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((folder / FILES).open())
            fcntl.flock(file, fcntl.LOCK_SH)
            is_held = True
        except OSError:
            is_held = False
        yield is_held


class Kept:
    """Orbax asks it at every save which checkpoints stay; the primary answers for all processes.

    What goes gets another name at that moment, unless somebody holds it, so that nobody finds it
    any more. `delete` or `bring_back` ends that.

    Args:
      root: the folder of the checkpoints.
      best: which one scored best.
    """

    def __init__(self, root: pathlib.Path, best: BestScore):
        self._root, self._best = root, best

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        """Orbax's question; all processes have to ask."""
        del context
        steps = [checkpoint.step for checkpoint in checkpoints]
        stay = []
        if is_primary():
            kept = (*sorted(steps)[-2:], self._best.step)
            stay = [step in kept or not self._goes(self._root / str(step)) for step in steps]
        return from_all(stay)[0]

    def delete(self) -> None:
        """Deletes what goes, once the new checkpoint is whole."""
        for folder in self._root.glob(f"*{GOING}"):
            shutil.rmtree(folder, ignore_errors=True)

    def bring_back(self) -> None:
        """What was to go stays: a save has failed, or its process was killed."""
        for folder in self._root.glob(f"*{GOING}"):
            folder.rename(folder.with_suffix(""))

    def _goes(self, folder: pathlib.Path) -> bool:
        """Whether nobody reads a checkpoint; it is renamed then."""
        with contextlib.ExitStack() as stack:
            try:
                # Network file systems lock alone only what is open for writing.
                file = stack.enter_context((folder / FILES).open("r+"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:  # no list of files, or a file system without locks
                pass
            with contextlib.suppress(FileNotFoundError):
                folder.rename(folder.with_name(folder.name + GOING))
        return True
