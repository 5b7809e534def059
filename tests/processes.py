"""Programs in processes of their own, as a user starts them."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[1]


def python(*words, cwd=ROOT, timeout=120, **variables):
    """`python WORDS` with this repository on its path: status and output, as text.

    `variables` of the environment are set beside those that there are; PYTHONIOENCODING, utf-8
    where it is not given, is what the output is read by.
    """
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | variables,
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
