"""detectron2's .pkl: one pickle of numpy arrays, alone or under "model"."""

import contextlib

from sor_jax.convert.readers import pickled

NAME = "pickle of arrays"


def recognises(head: bytes) -> bool:
    """Whether a file starts as a pickle does: a protocol byte, or a dict of protocol 0 or 1."""
    return head[:1] == b"\x80" or head[:2] in (b"(d", b"}q", b"}(", b"cc")


@contextlib.contextmanager
def opened(path):
    """Yields what was saved."""
    with open(path, "rb") as file:
        yield pickled.load(file, where=str(path))
