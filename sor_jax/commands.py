"""What every command shares: it starts from any folder, and what a user can mend is one message."""

import contextlib
import errno
import os
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence

from absl import app, flags

from sor_jax.config import RENAMED

ROOT = pathlib.Path(__file__).resolve().parents[1]
"""The folder that holds the package, and in a checkout configs/ and the scripts, too."""

_MENDABLE = (OSError, ValueError, RuntimeError, FloatingPointError, NotImplementedError)
_DEBUG = "debug"
_TRACEBACK = "Traceback (most recent call last)"
_OUT_OF_MEMORY = "RESOURCE_EXHAUSTED"
_CONFIG_DICT = os.path.join("ml_collections", "config_dict", "config_dict.py")
_BACKENDS = os.path.join("jax", "_src", "xla_bridge.py")


def run(
    main: Callable[[list[str]], None],
    argv: Sequence[str] | None = None,
    *,
    takes_words: bool = False,
) -> None:
    """absl's app.run for the commands of this project; it does not return.

    A config that is not found from the current folder is looked for in the checkout. An error that
    the user can mend (a wrong flag, a missing file, a full disk) is told as one message on stderr
    with exit status 1; anything else keeps its traceback, and --debug shows it always.

    Args:
      main: gets the program's name and the words that are no flags, as of app.run.
      argv: the command line; None is sys.argv.
      takes_words: whether there may be such words; they are refused otherwise.
    """
    if _DEBUG not in flags.FLAGS:
        flags.DEFINE_bool(_DEBUG, False, "Show the traceback of every error.")
    argv = list(sys.argv if argv is None else argv)
    entered = []

    def checked(words):
        entered.append(True)
        if len(words) > 1 and not takes_words:
            raise ValueError(
                f"not a flag: {' '.join(words[1:])}; all settings are --NAME=VALUE, --help lists "
                "them"
            )
        return main(words)

    with plain_errors(debug=_wants_debug(argv), all_kinds=lambda: not entered):
        _refuse_old_names(argv)
        app.run(checked, argv=find_config(argv), flags_parser=flags.FLAGS)


@contextlib.contextmanager
def plain_errors(
    *, debug: bool = False, all_kinds: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Tells an error that leaves the block as one message, if a user can mend it, and exits with 1.

    Args:
      debug: leave every error as it is.
      all_kinds: whether an error of any type is the user's at this moment, as while flags are read.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that lacks a letter still gets the message
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) and not debug:
            print("interrupted", file=sys.stderr)
            sys.exit(130)
        if debug or not (all_kinds() or is_mendable(error)):
            raise
        print_error(error)
        sys.exit(1)


def is_mendable(error: BaseException) -> bool:
    """Whether its message says what a user can do: a system's error, or one raised by this code.

    An error of the same type that a library raises within itself tells of a mistake in this code,
    and its traceback is needed.
    """
    if isinstance(error, OSError) or _OUT_OF_MEMORY in str(error):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    if frames and frames[-1].filename.endswith((_CONFIG_DICT, _BACKENDS)):
        return True  # a config without a field that is read; a GPU that is not there
    if not isinstance(error, _MENDABLE) or not frames or _is_library(frames[-1].filename):
        return False
    # Not by numpy's or Python's own C within a line.
    return (frames[-1].line or "").startswith("raise")


def print_error(error: BaseException) -> None:
    """Prints an error's message on stderr, with the line of a config file that it comes from."""
    text = message(error)
    if _OUT_OF_MEMORY in text:
        text = (
            f"the device's memory is full: {text.splitlines()[0]}\nLower config.train.batch_size "
            "or config.eval.batch_size, or set --config.train.accumulate=4, "
            "--config.train.remat=True or --config.train.dtype=bfloat16"
        )
    for old, (new, _) in RENAMED.items():
        name = old.split(".")[-1]
        if isinstance(error, (KeyError, AttributeError)) and f'"{name}" does not exist' in text:
            text = f"{text}\nconfig.{old} is called config.{new} now"
    frames = traceback.extract_tb(error.__traceback__)
    if frames and frames[-1].filename.endswith(_BACKENDS):
        text = (
            f"jax cannot start on what JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')} asks "
            f"for: {text}\nUnset it or set it to cpu, or install jax for it (jax[cuda12], jax[tpu])"
        )
    for frame in reversed(frames):
        if _is_of_config(frame):
            text = f"{frame.filename}, line {frame.lineno}: {text}"
            break
    print(f"error: {text}\n(--debug shows where)", file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """Prints a line. Where nobody can read it any more it is dropped, and so is what comes later.

    So a terminal that was closed, or a `tee` that was stopped, ends no training.
    """
    try:
        print(text, flush=True)
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EPIPE):
            raise
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def message(error: BaseException) -> str:
    """What an error says: a system's with its file, a KeyError's without quotes."""
    if isinstance(error, BrokenPipeError):
        return "nobody reads the output any more"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    said = error
    while isinstance(said, KeyError | AttributeError) and said.args:  # ml_collections nests them
        said = said.args[0]
    text = str(said) or type(error).__name__
    if _TRACEBACK in text:  # of a config's file, as absl passes it on
        text = text.partition("\n")[0].partition(" Error whilst")[0] + " " + text.splitlines()[-1]
    text = text.replace("module 'config_config'", "the file of --config")
    text = re.sub(r"flag --(\w+)=None: .*", r"--\1 is not given; --help lists the flags", text)
    name, _, suggestion = text.partition("\n")
    if isinstance(said, str) and re.fullmatch(r"'?\w+'?", name):
        suggestion = suggestion or "configs/base.py has all there are"
        text = f"there is no field {name}. {suggestion}".replace("'", "")
    return text


def _is_of_config(frame: traceback.FrameSummary) -> bool:
    """Whether a line stands in a file that --config reads."""
    is_main = os.path.abspath(frame.filename) == os.path.abspath(sys.argv[0])
    is_config = frame.name == "get_config" or (frame.name == "<module>" and not is_main)
    return is_config and not _is_library(frame.filename)


def default_workdir(config: str) -> str:
    """runs/NAME for a config's file, and its row where one is named behind a colon.

    configs/demo.py gives runs/demo, configs/tables.py:ppa,lite gives runs/tables_ppa_lite.
    """
    path, _, row = config.partition(":")
    words = [pathlib.Path(path).stem, *row.replace("/", ",").split(",")]
    return os.path.join("runs", "_".join(word for word in words if word))


def find_config(argv: Sequence[str]) -> list[str]:
    """The command line with --config's file as it is found: from here, with ~, or in the checkout.

    What follows a colon (configs/tables.py:ROW) stays.
    """
    found = list(argv)
    for place, word in enumerate(found):
        name, sign, value = word.partition("=")
        if name not in ("--config", "-config"):
            continue
        if sign:
            found[place] = f"{name}={_existing(value)}"
        elif place + 1 < len(found):
            found[place + 1] = _existing(found[place + 1])
    return found


def _refuse_old_names(argv: Sequence[str]) -> None:
    for word in argv:
        name = word.partition("=")[0].lstrip("-").removeprefix("config.")
        if name in RENAMED:
            raise ValueError(f"--config.{name} is called --config.{RENAMED[name][0]} now")


def _existing(value: str) -> str:
    path, colon, rest = value.partition(":")
    path = os.path.expanduser(path)
    if not os.path.exists(path) and (ROOT / path).is_file():
        path = str(ROOT / path)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"--config={value}: there is no file {os.path.abspath(path)}; the experiments are "
            f"files of {ROOT / 'configs'}"
        )
    if not path.endswith(".py"):
        raise ValueError(
            f"--config={value}: a config is a Python file with get_config(); what a run saved as "
            "config.json is read by eval.py --workdir, without --config"
        )
    return f"{path}{colon}{rest}"


def _wants_debug(argv: Sequence[str]) -> bool:
    """Read from the words themselves: an error may come before the flags are parsed."""
    return any(word in ("--debug", "-debug", "--debug=true", "--debug=True") for word in argv)


def _is_library(filename: str) -> bool:
    return "site-packages" in filename or filename.startswith(("<", sys.base_prefix + "/lib"))
