"""Programs in processes of their own, as a user starts them."""

import contextlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]
PATIENCE = 600  # seconds, of a busy machine


def python(*words, before=(), cwd=ROOT, timeout=PATIENCE, **variables):
    """`python WORDS` with this repository on its path: status and output, as text.

    `variables` of the environment are set beside those that there are; PYTHONIOENCODING, utf-8
    where it is not given, is what the output is read by. `before` stands in front of it all.
    """
    return subprocess.run(
        [*before, sys.executable, *map(str, words)],
        cwd=cwd,
        env=_environment(variables),
        capture_output=True,
        encoding=variables.get("PYTHONIOENCODING", "utf-8"),
        timeout=timeout,
    )


def output_of(*words, **options):
    """What such a program prints, which has to end well."""
    done = python(*words, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def error_of(*words, **options):
    """The message on stderr of one that ends with status 1 and without a traceback."""
    done = python(*words, **options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def start(*words, new_session=False, **variables):
    """`python WORDS` as above, which goes on beside the test; stderr comes with stdout."""
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=ROOT,
        env=_environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=new_session,
    )


def finish(process, *, seconds=PATIENCE):
    """(exit status, output) of one that was started, which is ended where it takes longer."""
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output


@contextlib.contextmanager
def ended(*processes):
    """Those that outlive the block, because something in it failed, are ended."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def lines_until(process, text):
    """Reads what a process says up to a line that begins so."""
    for line in process.stdout:
        if line.startswith(text):
            return
    raise AssertionError(f"it never said {text}")


def _environment(variables):
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | variables
